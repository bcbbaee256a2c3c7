import Text

/// What a prompt that was copied from a page or a document needs before it is encoded. The reference's tokenizer leaves
/// this to the `ftfy` package; these are the repairs of that package which such a prompt meets, each with the same
/// result. Its guesses about wrongly decoded text are left out on purpose.
enum PromptRepair {
  /// HTML entities, ligatures, full- and half-width forms, curly quotes, control characters, canonical composition.
  ///
  /// A text that contains `<` may be HTML on purpose: from that line on its entities stay.
  static func repair(_ text: String) -> String {
    let scalars = Array(text.unicodeScalars)
    var end = scalars.count
    if let tag = scalars.firstIndex(of: "<") { end = scalars[..<tag].lastIndex(of: "\n").map { $0 + 1 } ?? 0 }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: repair(scalars[..<end], unescaping: true))
    view.append(contentsOf: repair(scalars[end...], unescaping: false))
    return String(view)
  }

  /// Repeated until nothing changes, since one repair may uncover another (`&amp;lt;`).
  private static func repair(_ text: ArraySlice<Unicode.Scalar>, unescaping: Bool) -> [Unicode.Scalar] {
    var scalars = Array(text)
    while true {
      let unescaped = unescaping ? unescapingHTML(scalars) : scalars
      let repaired = canonicalComposition(of: replacingCharacters(unescaped))
      if repaired == scalars { return scalars }
      scalars = repaired
    }
  }

  // MARK: HTML

  /// `&amp;`, `&#233;`, `&#xe9;` replaced by what they stand for, and what that makes of the text behind it
  /// (`&amp;amp;lt;`) at once: text by text each layer would take a pass.
  private static func unescapingHTML(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    // What is left, the next one last.
    var rest = Array(text.reversed())
    while let scalar = rest.popLast() {
      if scalar == "&", let stop = rest.suffix(26).lastIndex(of: ";"),  // scalars
        let meaning = meaning(ofEntity: ArraySlice(rest[(stop + 1)...].reversed()))
      {
        rest.removeSubrange(stop...)
        rest += replacingCharacters(meaning).reversed()
      } else {
        result.append(scalar)
      }
    }
    return result
  }

  /// What the text between `&` and `;` stands for; nil where it stands for nothing.
  private static func meaning(ofEntity entity: ArraySlice<Unicode.Scalar>) -> [Unicode.Scalar]? {
    guard entity.first == "#" else {
      var name = String.UnicodeScalarView()
      name.append(contentsOf: entity)
      return namedEntities[String(name)].map { [$0] }
    }
    var digits = entity.dropFirst()
    let isHexadecimal = digits.first == "x" || digits.first == "X"
    if isHexadecimal { digits = digits.dropFirst() }
    guard !digits.isEmpty else { return nil }
    var value: UInt32 = 0
    for digit in digits {
      guard digit.isASCII, let number = Character(digit).hexDigitValue, isHexadecimal || number < 10 else { return nil }
      // Everything above the last scalar is the same error.
      value = min(value * (isHexadecimal ? 16 : 10) + UInt32(number), 0x110000)
    }
    switch value {
    case 0: return ["\u{fffd}"]
    case 0x3b: return nil
    case 0x80...0x9f: return [Unicode.Scalar(windows1252[Int(value - 0x80)]) ?? "\u{fffd}"]
    case 0x1...0x8, 0xb, 0xe...0x1f, 0x7f, 0xfdd0...0xfdef: return []
    case _ where value & 0xfffe == 0xfffe && value <= 0x10ffff: return []
    default: return [Unicode.Scalar(value) ?? "\u{fffd}"]
    }
  }

  // MARK: Single characters

  private static func replacingCharacters(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    text.flatMap { scalar -> [Unicode.Scalar] in
      switch scalar.value {
      // Control characters, without those that are white space; deprecated, annotation and byte-order marks.
      case 0x00...0x08, 0x0b, 0x0e...0x1f, 0x7f, 0x206a...0x206f, 0xfeff, 0xfff9...0xfffc: []
      // Curly quotes.
      case 0x2bc, 0x2018...0x201b: ["'"]
      case 0x201c...0x201f: ["\""]
      // Full-width Latin and the ideographic space.
      case 0x3000: [" "]
      case 0xff01...0xff5e: [Unicode.Scalar(scalar.value - 0xfee0) ?? scalar]
      default: replacements[scalar] ?? [scalar]
      }
    }
  }

  /// Ligatures, and half-width forms.
  private static let replacements: [Unicode.Scalar: [Unicode.Scalar]] = {
    var table = ligatures.mapValues { Array($0.unicodeScalars) }
    for (first, forms) in halfWidthForms {
      for (offset, form) in forms.unicodeScalars.enumerated() {
        if let scalar = Unicode.Scalar(first + UInt32(offset)) { table[scalar] = [form] }
      }
    }
    table["\u{ffe3}"] = [" ", "\u{304}"]
    return table
  }()

  private static let ligatures: [Unicode.Scalar: String] = [
    "\u{fb00}": "ff", "\u{fb01}": "fi", "\u{fb02}": "fl", "\u{fb03}": "ffi", "\u{fb04}": "ffl", "\u{fb05}": "\u{17f}t",
    "\u{fb06}": "st",
    "\u{132}": "IJ", "\u{133}": "ij", "\u{149}": "\u{2bc}n", "\u{1f1}": "DZ", "\u{1f2}": "Dz", "\u{1f3}": "dz",
    "\u{1c4}": "D\u{17d}",
    "\u{1c5}": "D\u{17e}", "\u{1c6}": "d\u{17e}", "\u{1c7}": "LJ", "\u{1c8}": "Lj", "\u{1c9}": "lj", "\u{1ca}": "NJ",
    "\u{1cb}": "Nj",
    "\u{1cc}": "nj",
  ]

  /// Runs of the block "Halfwidth and Fullwidth Forms" with what they stand for (compatibility decompositions).
  private static let halfWidthForms: [(first: UInt32, forms: String)] = [
    (0xff5f, "⦅⦆"),
    (0xff61, "。「」、・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン\u{3099}\u{309a}"),
    (0xffa0, "\u{1160}ᄀᄁᆪᄂᆬᆭᄃᄄᄅᆰᆱᆲᆳᆴᆵᄚᄆᄇᄈᄡᄉᄊᄋᄌᄍᄎᄏᄐᄑᄒ"),
    (0xffc2, "ᅡᅢᅣᅤᅥᅦ"), (0xffca, "ᅧᅨᅩᅪᅫᅬ"), (0xffd2, "ᅭᅮᅯᅰᅱᅲ"), (0xffda, "ᅳᅴᅵ"),
    (0xffe0, "¢£¬"), (0xffe4, "¦¥₩"), (0xffe8, "│←↑→↓■○"),
  ]

  // MARK: Tables of HTML

  /// The entities of HTML 4 and `&apos;`: name=code point.
  private static let namedEntities: [String: Unicode.Scalar] = {
    var table: [String: Unicode.Scalar] = [:]
    for entry in entityList.pieces(at: " ") {
      let sides = entry.pieces(at: "=")
      if sides.count == 2, let value = UInt32(sides[1], radix: 16) { table[String(sides[0])] = Unicode.Scalar(value) }
    }
    return table
  }()

  private static let entityList = """
    QUOT=22 quot=22 AMP=26 amp=26 apos=27 LT=3c lt=3c GT=3e gt=3e nbsp=a0 iexcl=a1 cent=a2 pound=a3 curren=a4 \
    yen=a5 brvbar=a6 sect=a7 uml=a8 COPY=a9 copy=a9 ordf=aa laquo=ab not=ac shy=ad REG=ae reg=ae macr=af deg=b0 \
    plusmn=b1 sup2=b2 sup3=b3 acute=b4 micro=b5 para=b6 middot=b7 cedil=b8 sup1=b9 ordm=ba raquo=bb frac14=bc \
    frac12=bd frac34=be iquest=bf Agrave=c0 Aacute=c1 Acirc=c2 Atilde=c3 Auml=c4 Aring=c5 AElig=c6 Ccedil=c7 \
    Egrave=c8 Eacute=c9 Ecirc=ca Euml=cb Igrave=cc Iacute=cd Icirc=ce Iuml=cf ETH=d0 Ntilde=d1 Ograve=d2 Oacute=d3 \
    Ocirc=d4 Otilde=d5 Ouml=d6 times=d7 Oslash=d8 Ugrave=d9 Uacute=da Ucirc=db Uuml=dc Yacute=dd THORN=de szlig=df \
    agrave=e0 aacute=e1 acirc=e2 atilde=e3 auml=e4 aring=e5 aelig=e6 ccedil=e7 egrave=e8 eacute=e9 ecirc=ea \
    euml=eb igrave=ec iacute=ed icirc=ee iuml=ef eth=f0 ntilde=f1 ograve=f2 oacute=f3 ocirc=f4 otilde=f5 ouml=f6 \
    divide=f7 oslash=f8 ugrave=f9 uacute=fa ucirc=fb uuml=fc yacute=fd thorn=fe yuml=ff OElig=152 oelig=153 \
    Scaron=160 scaron=161 Yuml=178 fnof=192 circ=2c6 tilde=2dc Alpha=391 Beta=392 Gamma=393 Delta=394 Epsilon=395 \
    Zeta=396 Eta=397 Theta=398 Iota=399 Kappa=39a Lambda=39b Mu=39c Nu=39d Xi=39e Omicron=39f Pi=3a0 Rho=3a1 \
    Sigma=3a3 Tau=3a4 Upsilon=3a5 Phi=3a6 Chi=3a7 Psi=3a8 Omega=3a9 alpha=3b1 beta=3b2 gamma=3b3 delta=3b4 \
    epsilon=3b5 zeta=3b6 eta=3b7 theta=3b8 iota=3b9 kappa=3ba lambda=3bb mu=3bc nu=3bd xi=3be omicron=3bf pi=3c0 \
    rho=3c1 sigmaf=3c2 sigma=3c3 tau=3c4 upsilon=3c5 phi=3c6 chi=3c7 psi=3c8 omega=3c9 thetasym=3d1 upsih=3d2 \
    piv=3d6 ensp=2002 emsp=2003 thinsp=2009 zwnj=200c zwj=200d lrm=200e rlm=200f ndash=2013 mdash=2014 lsquo=2018 \
    rsquo=2019 sbquo=201a ldquo=201c rdquo=201d bdquo=201e dagger=2020 Dagger=2021 bull=2022 hellip=2026 \
    permil=2030 prime=2032 Prime=2033 lsaquo=2039 rsaquo=203a oline=203e frasl=2044 euro=20ac image=2111 \
    weierp=2118 real=211c trade=2122 alefsym=2135 larr=2190 uarr=2191 rarr=2192 darr=2193 harr=2194 crarr=21b5 \
    lArr=21d0 uArr=21d1 rArr=21d2 dArr=21d3 hArr=21d4 forall=2200 part=2202 exist=2203 empty=2205 nabla=2207 \
    isin=2208 notin=2209 ni=220b prod=220f sum=2211 minus=2212 lowast=2217 radic=221a prop=221d infin=221e \
    ang=2220 and=2227 or=2228 cap=2229 cup=222a int=222b there4=2234 sim=223c cong=2245 asymp=2248 ne=2260 \
    equiv=2261 le=2264 ge=2265 sub=2282 sup=2283 nsub=2284 sube=2286 supe=2287 oplus=2295 otimes=2297 perp=22a5 \
    sdot=22c5 lceil=2308 rceil=2309 lfloor=230a rfloor=230b lang=2329 rang=232a loz=25ca spades=2660 clubs=2663 \
    hearts=2665 diams=2666
    """

  /// What browsers make of references to U+0080 to U+009F: the characters of Windows-1252.
  private static let windows1252: [UInt32] = [
    0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d,
    0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d,
    0x17e, 0x178,
  ]
}
