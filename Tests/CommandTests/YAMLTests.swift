import Testing
import YAML

@Suite struct YAMLTests {
  @Test func aliasesAreReplaced() throws {
    let node = try #require(try YAMLNode.read("here: &a {x: [1, yes, 'yes', ~]}\nthere: *a\n"))
    #expect(node["there"]?["x"]?.sequence?.map(\.string) == ["1", "yes", "yes", "~"])
    #expect(node["there"]?["x"]?.sequence?.map(\.bool) == [nil, true, nil, nil])
    #expect(node["there"]?["x"]?.sequence?.map(\.isNull) == [false, false, false, true])
    #expect(node["there"]?.line == 1)
    #expect(node.mapping?.map(\.key.string) == ["here", "there"])
  }

  @Test func nothingIsNoDocument() throws {
    #expect(try YAMLNode.read("# nothing\n") == nil)
  }

  @Test(arguments: [
    ("a: [1, 2\nb: 3", 2), ("a:\n  - *b", 2), ("&a [*a]", 1), ("a: \"\\q\"", 1),
  ])
  func whatIsWrongHasAPlace(text: String, line: Int) {
    #expect { try YAMLNode.read(text) } throws: { error in
      print(error)
      return (error as? YAMLError)?.line == line
    }
  }

  /// At once: read to its end, this takes libyaml minutes.
  @Test(arguments: ["[", "[\n", "{a: ", "- "])
  func deepNestingIsRefused(level: String) {
    #expect { try YAMLNode.read(String(repeating: level, count: 200_000)) } throws: { error in
      print(error)
      return "\(error)".contains("nested more than 100 levels")
    }
  }

  @Test(arguments: ["&a\u{7f}% 1", "- &b% x\n", "k%: &c% {a: 1}\n", "? &d% [1]\n: x\n"])
  func manyAnchorsAreRefused(entry: String) {
    let entries = (0..<2000).map { entry.replacing("%", with: "\($0)").replacing("\u{7f}", with: "") }
    let text = entry.hasPrefix("&") ? "[\(entries.joined(separator: ", "))]" : entries.joined()
    #expect { try YAMLNode.read(text) } throws: { error in
      print(error)
      return "\(error)".contains("more than 1000 anchors")
    }
  }

  @Test func hundredLevelsAreRead() throws {
    let text = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
    #expect(try YAMLNode.read(text)?.sequence?.count == 1)
  }

  /// Ten to the sixteenth nodes if aliases were copied.
  @Test func aliasesOfAliasesStaySmall() throws {
    let names = Array("abcdefghijklmnop")
    var text = "a: &a [x]\n"
    for (before, name) in zip(names, names.dropFirst()) {
      text += "\(name): &\(name) [\(Array(repeating: "*\(before)", count: 10).joined(separator: ", "))]\n"
    }
    #expect(try YAMLNode.read(text)?["p"]?.sequence?.count == 10)
  }
}
