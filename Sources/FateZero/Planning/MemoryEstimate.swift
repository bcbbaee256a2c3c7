import StableDiffusion
import Tensors

/// The most memory that a run holds at once. What stays (weights, record, latents, pictures) is added up; what comes and
/// goes is rehearsed, phase by phase.
struct MemoryEstimate {
  let unet: UNetConfiguration
  let autoencoder: AutoencoderConfiguration
  /// Whether the UNet has layers along the frames.
  let isTuned: Bool
  /// Numbers in the weights of each network, without the tables of embeddings, which stay in their file.
  let packedParameters: [ModelComponent: Int]
  let plan: EditPlan
  let window: ClipWindow
  /// Whether the clip begins with this window: what comes later finds all weights packed.
  let isFirst: Bool
  /// Bytes of the record: of the largest step and of all.
  let record: (largestStep: Double, all: Double)

  /// The program with its libraries, of which the pages that are used count, and their heaps: as measured.
  private static let program = Double(110 << 20)

  var peakBytes: Double {
    // Of a record that lies in files or is computed again there is one step at a time.
    let (kept, read) = plan.isRecordInMemory ? (record.all, record.all) : (0, record.largestStep)
    let made = plan.record == .recompute ? 0 : read
    let phases: [(works: ModelComponent, packed: Weights, bytes: Double)] = [
      (.textEncoder, .encoder, 0), (.vae, .encoder, encoding), (.unet, .unet, inversion + latents + made),
      (.unet, plan.edits.count > 1 ? .all : .unet, edit + latents + read), (.vae, .all, decoding + latents + kept),
    ]
    let largest =
      phases.map { weightBytes(plan.staying.union([$0.works]), isFirst ? $0.packed : .all) + $0.bytes }.max() ?? 0
    return Self.program + text + pictures + largest
  }

  // MARK: What stays

  /// Which of the convolutions that Winograd's way suits have been packed: each is when it is first used.
  enum Weights { case encoder, unet, all }

  /// - Parameter loaded: The networks that are there.
  func weightBytes(_ loaded: Set<ModelComponent>, _ packed: Weights) -> Double {
    let size = Double(plan.precision.byteCount)
    var bytes = size * Double(loaded.reduce(0) { $0 + (packedParameters[$1] ?? 0) })
    /// Puts what convolutions are packed into in the place of their parameters.
    func correct(_ shapes: [ConvolutionShape], of component: ModelComponent, areUsed: Bool) {
      guard loaded.contains(component) else { return }
      for shape in shapes {
        let (count, byWinograd) = shape.packed(plan.precision, plan.convolutions)
        bytes -= size * shape.parameters
        // Winograd's weights are made when they are first used, in float32 whatever the precision.
        if !byWinograd { bytes += size * count } else if areUsed { bytes += 4 * count }
      }
    }
    let images = autoencoder.convolutions(rows: plan.latentRows, columns: plan.latentColumns)
    correct(images.encode, of: .vae, areUsed: true)
    correct(
      unet.convolutions(rows: plan.latentRows, columns: plan.latentColumns), of: .unet, areUsed: packed != .encoder)
    correct(images.decode, of: .vae, areUsed: packed == .all)
    return bytes
  }

  /// Keys and values of the prompts.
  var text: Double {
    let guided = plan.edits.map { $0.settings.guidanceScale > 1 ? 2 : 1 }
    let prompts = 1 + guided.reduce(0, +) + (plan.reconstructionTokens == nil ? 0 : guided.first ?? 0)
    let channels = plan.sites.filter { $0.kind == .crossAttention }.reduce(0) { $0 + $1.channels }
    return Double(4 * 2 * prompts * PromptWords.contextLength * channels)
  }

  var latents: Double {
    let one = 4 * Double(window.total) * Double(plan.latentRows * plan.latentColumns * plan.channels)
    return one * Double(plan.scheduler.steps + 1) * (plan.reconstructionTokens == nil ? 1 : 2)
  }

  private var picture: Double { 12 * Double(plan.workingSize.width) * Double(plan.workingSize.height) }

  /// Pictures wait at the working size, before and, but for those of the edit in work, after; of frames there are two at a
  /// time, and the alpha of all.
  private var pictures: Double {
    let frame = Double(plan.frameSize.width) * Double(plan.frameSize.height)
    return 6 * frame + Double(window.count) * (frame + picture * Double(plan.edits.count))
  }

  // MARK: What comes and goes

  /// The pool has all its blocks after the first round of a phase, but for those that the second finds in other places.
  private static let rounds = 2

  private func rehearse(_ round: (inout MemoryRehearsal) -> Void) -> Double {
    var memory = MemoryRehearsal(threads: plan.threads, precision: plan.precision, convolutions: plan.convolutions)
    for _ in 0..<Self.rounds { round(&memory) }
    return memory.peak
  }

  var encoding: Double {
    rehearse {
      autoencoder.rehearseEncoding(
        &$0, rows: plan.latentRows, columns: plan.latentColumns, tiling: plan.tiling)
    }
  }

  /// The pictures are kept.
  var decoding: Double {
    var memory = MemoryRehearsal(threads: plan.threads, precision: plan.precision, convolutions: plan.convolutions)
    let rehearsed = min(window.count, 8)
    for _ in 0..<rehearsed {
      autoencoder.rehearseDecoding(
        &memory, rows: plan.latentRows, columns: plan.latentColumns, tiling: plan.tiling)
    }
    return memory.peak + picture * Double(window.count - rehearsed)
  }

  private func pass(_ memory: inout MemoryRehearsal, runs: Int, _ attend: @escaping AttentionRehearsal) {
    unet.rehearse(
      &memory, rows: plan.latentRows, columns: plan.latentColumns, frames: Double(window.total) * Double(runs),
      chunk: Double(window.total), sites: plan.sites, isTuned: isTuned, attend: attend)
  }

  private func isGuided(_ edit: PlannedEdit?) -> Bool { (edit?.settings.guidanceScale ?? 1) > 1 }

  /// Of the pass that is controlled.
  private func runs(_ edit: PlannedEdit?) -> Int {
    isGuided(edit) && !plan.economies.contains(.splitGuidance) ? 2 : 1
  }

  /// One step with guidance, if there is some.
  private func step(_ memory: inout MemoryRehearsal, _ edit: PlannedEdit?, _ attend: @escaping AttentionRehearsal) {
    if isGuided(edit), runs(edit) == 1 { pass(&memory, runs: 1, plain) }
    pass(&memory, runs: runs(edit), attend)
  }

  var inversion: Double {
    let fromReconstruction = plan.reconstructionTokens != nil
    let keeps = plan.record != .recompute
    var memory = MemoryRehearsal(threads: plan.threads, precision: plan.precision, convolutions: plan.convolutions)
    for _ in 0..<Self.rounds { pass(&memory, runs: 1, keeps && !fromReconstruction ? recording(runs: 1) : plain) }
    guard fromReconstruction else { return memory.peak }
    let edit = plan.edits.first
    for _ in 0..<Self.rounds { step(&memory, edit, keeps ? recording(runs: runs(edit)) : plain) }
    return memory.peak
  }

  var edit: Double {
    let recomputes = plan.record == .recompute && record.largestStep > 0
    return plan.edits.map { edit in
      rehearse { memory in
        if recomputes { pass(&memory, runs: 1, recording(runs: 1)) }
        step(&memory, edit, fusing(edit))
      }
    }.max() ?? 0
  }

  // MARK: Attention

  private var frames: Double { Double(window.total) }

  private func plain(
    _ memory: inout MemoryRehearsal, site: AttentionSite, frames: Double, keyTokens: Int
  ) -> MemoryRehearsal.Block {
    memory.plainAttention(site, frames: frames, keyTokens: keyTokens)
  }

  /// The map of a layer over the frames of one run.
  private func map(_ memory: inout MemoryRehearsal, _ site: AttentionSite, keyTokens: Int) -> MemoryRehearsal.Block {
    let isCoupled = site.kind == .selfAttention && site.channels >= plan.couplingMinWidth
    let keys = Double(keyTokens) * Double(isCoupled ? max(plan.coupling.count, 1) : 1)
    return memory.tensor(frames * Double(site.heads) * Double(site.tokens) * keys)
  }

  /// Of one run.
  private func count(_ site: AttentionSite) -> Double { frames * Double(site.tokens) * Double(site.channels) }

  private func result(_ memory: inout MemoryRehearsal, _ site: AttentionSite) -> MemoryRehearsal.Block {
    memory.tensor(count(site))
  }

  /// Factors as float32 numbers: nothing is made where they are such.
  private func numbers(_ memory: inout MemoryRehearsal, _ count: Int, of site: AttentionSite) -> [MemoryRehearsal.Block]
  {
    plan.precision == .float32 ? [] : (0..<count).map { _ in result(&memory, site) }
  }

  /// `RecordingAttention`; what it keeps is the record's.
  private func recording(runs: Int) -> AttentionRehearsal {
    { memory, site, frames, keyTokens in
      let attended = plain(&memory, site: site, frames: frames, keyTokens: keyTokens)
      guard plan.needs.everWants(site) else { return attended }
      if plan.record == .maps || site.kind == .crossAttention {
        let operands = site.kind == .crossAttention ? [] : numbers(&memory, 2, of: site)
        memory.release(map(&memory, site, keyTokens: keyTokens))
        operands.forEach { memory.release($0) }
      } else {
        // The keys of the frames that are read, joined.
        memory.release(memory.tensor(count(site), asFactors: true))
      }
      return attended
    }
  }

  /// `AttentionFusion`, of which the conditional run is controlled.
  private func fusing(_ edit: PlannedEdit) -> AttentionRehearsal {
    { memory, site, frames, keyTokens in
      guard edit.needs.everWants(site) else {
        return plain(&memory, site: site, frames: frames, keyTokens: keyTokens)
      }
      let runs = runs(edit)
      let unconditional =
        runs > 1 ? plain(&memory, site: site, frames: self.frames, keyTokens: keyTokens) : nil
      let controlled =
        site.kind == .crossAttention
        ? fuseCross(&memory, site, keyTokens, edit) : fuseSelf(&memory, site, keyTokens)
      guard let unconditional else { return controlled }
      let joined = memory.tensor(Double(runs) * count(site), asFactors: true)
      memory.release(unconditional)
      memory.release(controlled)
      return joined
    }
  }

  private func fuseSelf(_ memory: inout MemoryRehearsal, _ site: AttentionSite, _ keyTokens: Int)
    -> MemoryRehearsal.Block
  {
    guard plan.record == .maps else {
      return memory.attention(
        frames: frames, queryTokens: site.tokens, keyTokens: keyTokens, channels: site.channels, heads: site.heads,
        blended: true)
    }
    let source = plan.precision == .float32 ? nil : map(&memory, site, keyTokens: keyTokens)
    let values = numbers(&memory, 1, of: site)
    let kept = result(&memory, site)
    if let source { memory.release(source) }
    values.forEach { memory.release($0) }
    // The edit's own, and the two as numbers to be mixed.
    let own = [memory.tensor(count(site), asFactors: true)] + (0..<2).map { _ in result(&memory, site) }
    own.forEach { memory.release($0) }
    return memory.rounded(kept, count: count(site))
  }

  private func fuseCross(_ memory: inout MemoryRehearsal, _ site: AttentionSite, _ keyTokens: Int, _ edit: PlannedEdit)
    -> MemoryRehearsal.Block
  {
    let isObserved = edit.findsMask && edit.blendsLatents && plan.maskSites.contains(site)
    let observed = isObserved ? map(&memory, site, keyTokens: keyTokens) : nil
    let source = plan.precision == .float32 ? nil : map(&memory, site, keyTokens: keyTokens)
    let carried = result(&memory, site)
    if let source { memory.release(source) }
    if !edit.mixesCrossAttention {
      if let observed { memory.release(observed) }
      return memory.rounded(carried, count: count(site))
    }
    let ownMap = observed ?? map(&memory, site, keyTokens: keyTokens)
    let own = result(&memory, site)
    memory.release(ownMap)
    let sum = result(&memory, site)
    memory.release(own)
    memory.release(carried)
    return memory.rounded(sum, count: count(site))
  }
}
