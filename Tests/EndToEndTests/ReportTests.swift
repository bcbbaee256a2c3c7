import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// The page of `--report`, in a real browser.
  struct ReportTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    /// Opens the page in a frame of some width and asks it what it shows.
    private func shown(_ page: String, width: Int) throws -> String {
      let html = String(decoding: try bench.contents(page), as: UTF8.self)
      // A page from disk may not look into another one: it tells by itself.
      let probe = """
        <script>addEventListener('load',()=>{const all=[...document.images],w=document.documentElement;
        const shown=document.querySelectorAll('.screen img.on').length;
        const errors=window.failed||0;
        parent.postMessage('images='+all.length+' broken='+all.filter(i=>!i.complete||!i.naturalWidth).length
          +' sections='+document.querySelectorAll('section').length+' screens='+shown+' errors='+errors
          +' plots='+document.querySelectorAll('svg.plot path:not(.grid)').length
          +' overflow='+Math.max(0,w.scrollWidth-w.clientWidth),'*')})</script>
        """
      try Data(
        // The page's policy would let no probe run; StrangersFilesTests looks at pages with it.
        html.replacing(#/<meta http-equiv="Content-Security-Policy"[^>]*>/#, with: "").replacing(
          "<head>", with: "<head><script>addEventListener('error',()=>{window.failed=1})</script>"
        )
        .replacing("</body>", with: probe + "</body>").utf8
      ).write(to: URL(filePath: bench.path("probed.html")))
      try Data(
        """
        <body><pre id=o></pre><script>addEventListener('message',e=>{o.textContent='PROBE '+e.data})</script>
        <iframe src="probed.html" width="\(width)" height="800"></iframe></body>
        """.utf8
      ).write(to: URL(filePath: bench.path("frame.html")))
      let outcome = try bench.succeed(
        """
        chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile" --virtual-time-budget=5000 \
          --dump-dom "file://$PWD/frame.html" 2>/dev/null
        """)
      let dump = String(decoding: outcome.output, as: UTF8.self)
      return dump.split(separator: "\n").first { $0.contains("PROBE") }.map(String.init) ?? dump
    }

    @Test func thePageIsWholeAndFitsAPhone() throws {
      try bench.succeed(
        """
        frames 8 5 64x64 > in.nut
        edit in.nut plain.rgb --output-format rawvideo --clip-length 3
        edit in.nut out.rgb --output-format rawvideo --clip-length 3 --report report
        """)
      // Looking changes nothing.
      #expect(try bench.contents("plain.rgb") == bench.contents("out.rgb"))
      for width in [390, 1100] {
        let text = try shown("report/index.html", width: width)
        print("report at \(width) px: \(text)")
        #expect(text.contains("broken=0") && text.contains("errors=0") && text.contains("overflow=0"), "\(text)")
        #expect(text.contains("sections=8") && text.contains("screens=2") && text.contains("plots=3"), "\(text)")
        // 2 screens, 4 strips and the reconstruction's 2, 5 words of the source and 5 of the edit, 5 frames each.
        #expect(text.contains("images=\((2 + 4 + 2 + 10) * 5) "), "\(text)")
      }
      let page = String(decoding: try bench.contents("report/index.html"), as: UTF8.self)
      #expect(!page.contains("http:") && !page.contains("https:") && !page.contains("url("))

      struct Numbers: Decodable {
        struct Similarity: Decodable { let psnr: Double?, ssim: Double? }
        struct Coverage: Decodable { let share: Double }
        struct Edit: Decodable { let maskCoverage: [Coverage] }
        let frames: Int, windows: Int, peakBytes: Int, edits: [Edit], reconstruction: [Similarity]
      }
      let numbers = try JSONDecoder().decode(Numbers.self, from: try bench.contents("report/report.json"))
      #expect(numbers.frames == 5 && numbers.windows == 2 && numbers.peakBytes > 1 << 20)
      #expect(numbers.reconstruction.count == 5 && numbers.reconstruction.allSatisfy { abs($0.ssim ?? 2) <= 1 })
      #expect(!numbers.edits[0].maskCoverage.isEmpty && numbers.edits[0].maskCoverage.allSatisfy { 0...1 ~= $0.share })
      // The numbers are ffmpeg's: its filter compares the pictures that lie beside the page.
      let compared = try bench.succeed(
        """
        ffmpeg -v error -i report/source-0001.png -i report/reconstruction-0001.png \
          -lavfi "[0][1]psnr=stats_file=-" -f null - | sed -n 1p
        """)
      let line = String(decoding: compared.output, as: UTF8.self)
      let field = line.split(separator: " ").first { $0.hasPrefix("psnr_avg:") }.flatMap { Double($0.dropFirst(9)) }
      let own = try #require(numbers.reconstruction[0].psnr)
      print("PSNR: \(own), ffmpeg \(field ?? -1)")
      #expect(abs(try #require(field) - own) < 0.01)
    }

    @Test func severalEditsFromTheCacheAndAnAwkwardSize() throws {
      try bench.succeed(
        """
        frames 8 3 101x67 > in.nut
        two() { edit in.nut out.nut -y --edit "a [cat -> <b>dog</b>] on the grass" --cache cache --report report; }
        two; two
        """)
      let text = try shown("report/index.html", width: 390)
      #expect(text.contains("broken=0") && text.contains("screens=3") && text.contains("overflow=0"), "\(text)")
    }

    @Test func aReportIsNotOverwrittenUnasked() throws {
      let outcome = try bench.run(
        """
        frames 8 2 64x64 > in.nut; edit in.nut out.nut --report report
        edit in.nut other.nut --report report
        """)
      #expect(outcome.status == 73 && outcome.errors.contains("there is a report already"), "\(outcome.errors)")
      #expect(!bench.exists("other.nut"))
      let other = try bench.run("edit in.nut other.nut --report /proc/none")
      #expect(other.status == 73 && other.errors.contains("--report /proc/none"), "\(other.errors)")
    }
  }
}
