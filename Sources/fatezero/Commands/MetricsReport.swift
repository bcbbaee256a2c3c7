import FateZero
import FoundationEssentials
import Metrics
import Text

/// What `fatezero metrics` found, as a table and as JSON.
struct MetricsReport: Encodable {
  struct Measure: Encodable {
    /// Its key in JSON, and what the table calls it.
    let key: String, title: String
    let definition: String
    let unit: String
    /// "higher", "lower" or nil where neither is better.
    let better: String?
    let series: Series
    let digits: Int

    enum CodingKeys: String, CodingKey { case definition, unit, better, mean, values, infinite }

    /// What is infinite or unknown is null.
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(definition, forKey: .definition)
      try container.encode(unit, forKey: .unit)
      try container.encode(better, forKey: .better)
      try container.encode(series.mean.flatMap { $0.isFinite ? $0 : nil }, forKey: .mean)
      try container.encode(series.values.map { $0.flatMap { $0.isFinite ? $0 : nil } }, forKey: .values)
      try container.encode(series.infiniteCount, forKey: .infinite)
    }
  }

  let source: String, result: String
  let mask: String?
  let clip: String?, edit: String?, sourcePrompt: String?
  let frames: Int
  let width: Int, height: Int
  let measures: [Measure]

  static func measures(
    pictures: PictureMetrics, background: BackgroundError?, warp: WarpError, consistency: TemporalConsistency,
    score: CLIPScore?
  ) -> [Measure] {
    var measures = [
      Measure(
        key: "psnr", title: "PSNR",
        definition: "10 log10(255^2 / MSE) over RGB per frame; mean of the frames that are not equal", unit: "dB",
        better: "higher", series: pictures.peakSignalToNoise, digits: 2),
      Measure(
        key: "ssim", title: "SSIM",
        definition: "Wang et al. 2004, luma, 11x11 Gaussian windows of sigma 1.5, K1 0.01, K2 0.03", unit: "",
        better: "higher", series: pictures.structuralSimilarity, digits: 4),
    ]
    if let background {
      measures.append(
        Measure(
          key: "background_error", title: "background error",
          definition: "mean absolute difference over RGB where the mask is below \(BackgroundError.threshold)",
          unit: "levels of 255", better: "lower", series: background.difference, digits: 3))
    }
    let flow = "motion of the source by libavfilter's mestimate (epzs, blocks of 8 pixels, half pixels)"
    measures += [
      Measure(
        key: "warp_error", title: "warp error",
        definition: "Lai et al. 2018: mean squared difference of a frame and the next one moved back; \(flow)",
        unit: "of 1, squared", better: "lower", series: warp.result, digits: 6),
      Measure(
        key: "warp_error_source", title: "  of the source",
        definition: "the same of the source itself: what the motion leaves unexplained", unit: "of 1, squared",
        better: nil, series: warp.source, digits: 6),
      Measure(
        key: "warp_coverage", title: "  pixels counted",
        definition: "share of the pixels whose moved source differs by at most \(WarpError.occlusion) levels of 255",
        unit: "of 1", better: nil, series: warp.coverage, digits: 3),
      Measure(
        key: "dtssd", title: "temporal change",
        definition: "Erofeev et al. 2015, dtSSD: root mean squared difference of the changes from frame to frame",
        unit: "levels of 255", better: "lower", series: consistency.difference, digits: 3),
    ]
    guard let score else { return measures }
    measures.append(
      Measure(
        key: "tem_con", title: "CLIP Tem-Con", definition: "cosine of the CLIP features of consecutive frames",
        unit: "",
        better: "higher", series: score.temporalConsistency, digits: 4))
    if !score.frameAccuracy.values.isEmpty {
      measures.append(
        Measure(
          key: "fram_acc", title: "CLIP Fram-Acc",
          definition: "share of the frames that are nearer to the edit's prompt than to the source's", unit: "of 1",
          better: "higher", series: score.frameAccuracy, digits: 3))
    }
    if !score.textSimilarity.values.isEmpty {
      measures.append(
        Measure(
          key: "clip_t", title: "CLIP-T",
          definition: "100 x cosine of the CLIP features of a frame and of the edit's prompt", unit: "of 100",
          better: "higher", series: score.textSimilarity, digits: 2))
    }
    return measures
  }

  // MARK: - Table

  var table: String {
    let equal = measures.first { $0.series.infiniteCount > 0 }?.series.infiniteCount ?? 0
    var rows = [["measure", "mean", "lowest", "highest", "unit", "better"]]
    for measure in measures {
      let numbers = [measure.series.mean, measure.series.lowest, measure.series.highest].map {
        $0.map { $0.isFinite ? Numerals.fixed($0, digits: measure.digits) : "inf" } ?? "none"
      }
      rows.append([measure.title] + numbers + [measure.unit, measure.better ?? ""])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var lines = ["\(Numerals.count(frames, "frame")) of \(width)x\(height)"]
    lines += rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let space = String(repeating: " ", count: widths[column] - cell.count)
        // Numbers end under each other, words begin so.
        line += (column == 0 ? "" : "  ") + (1...3 ~= column ? space + cell : cell + space)
      }
      while line.ends(with: " ") { line.removeLast() }
      return line
    }
    if equal > 0, equal < frames {
      lines.append(
        "\(Numerals.count(equal, "frame")) of the result equal to the source's; the mean of PSNR is the others'")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: - JSON

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private enum CodingKeys: String, CodingKey {
    case version, source, result, mask, clip, edit, sourcePrompt = "source_prompt", frames, width, height, metrics
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(toolVersion, forKey: .version)
    try container.encode(source, forKey: .source)
    try container.encode(result, forKey: .result)
    try container.encodeIfPresent(mask, forKey: .mask)
    try container.encodeIfPresent(clip, forKey: .clip)
    try container.encodeIfPresent(edit, forKey: .edit)
    try container.encodeIfPresent(sourcePrompt, forKey: .sourcePrompt)
    try container.encode(frames, forKey: .frames)
    try container.encode(width, forKey: .width)
    try container.encode(height, forKey: .height)
    var metrics = container.nestedContainer(keyedBy: Key.self, forKey: .metrics)
    for measure in measures { try metrics.encode(measure, forKey: Key(stringValue: measure.key)) }
  }

  /// The whole report.
  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
  }
}
