import CDNNL
import CKernels

/// A compiled operation for one shape.
final class OneDNNPrimitive {
  /// What is done with the result before it is stored.
  enum PostOperation {
    /// Added to what the result's memory holds.
    case accumulate
    case activation(Activation)
    /// Another array is added, read as the argument `addend(position in the list)`.
    case add(OneDNNLayout)
  }

  typealias Argument = (index: CInt, layout: OneDNNLayout, pointer: UnsafeMutableRawPointer)

  /// The layouts of the operands, those that the library chose among them.
  let source: OneDNNLayout, result: OneDNNLayout
  /// nil for a copy.
  let weights: OneDNNLayout?
  /// Whether the library has only its plain loops for this operation, a hundred times slower than its others.
  let isReference: Bool
  private let engine: OneDNNEngine
  private let primitive: dnnl_primitive_t
  /// nil where the operation needs none.
  private let scratchpad: OneDNNLayout?
  /// Little work runs on the calling thread alone. The library fixes the number of threads when it compiles.
  private let isSmall: Bool
  /// Made at the first run, then only moved.
  private var memories: [CInt: dnnl_memory_t] = [:]

  static func addend(_ position: Int) -> CInt {
    DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE * CInt(position + 1) | DNNL_ARG_SRC_1
  }

  /// - Parameters:
  ///   - describe: Describes the operation, with these attributes.
  ///   - work: Floating-point operations of one run.
  convenience init(
    _ postOperations: [PostOperation], work: Int, engine: OneDNNEngine,
    _ describe: (inout dnnl_primitive_desc_t?, _ attributes: dnnl_primitive_attr_t?) throws -> Void
  ) throws {
    let isSmall = work < Device.smallWork
    let threads = kernel_thread_count()
    if isSmall { kernel_set_thread_count(1) }
    defer { kernel_set_thread_count(threads) }
    let attributes = try OneDNNPrimitive.attributes(postOperations)
    defer { dnnl_primitive_attr_destroy(attributes) }
    var operation: dnnl_primitive_desc_t?
    defer { dnnl_primitive_desc_destroy(operation) }
    try describe(&operation, attributes)
    try self.init(operation, isSmall: isSmall, engine: engine)
  }

  /// A copy into another layout.
  convenience init(
    reordering source: OneDNNLayout, to result: OneDNNLayout, _ postOperations: [PostOperation] = [],
    engine: OneDNNEngine
  ) throws {
    let attributes = try OneDNNPrimitive.attributes(postOperations)
    defer { dnnl_primitive_attr_destroy(attributes) }
    var operation: dnnl_primitive_desc_t?
    defer { dnnl_primitive_desc_destroy(operation) }
    try check(
      onednn_reorder_create(&operation, engine.engine, source.handle, result.handle, attributes), "change a layout")
    try self.init(operation, engine: engine)
  }

  /// To be destroyed by the caller.
  private static func attributes(_ postOperations: [PostOperation]) throws -> dnnl_primitive_attr_t? {
    let action = "prepare an operation"
    var attributes: dnnl_primitive_attr_t?
    try check(dnnl_primitive_attr_create(&attributes), action)
    var isComplete = false
    defer { if !isComplete { dnnl_primitive_attr_destroy(attributes) } }
    try check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), action)
    var list: dnnl_post_ops_t?
    try check(dnnl_post_ops_create(&list), action)
    defer { dnnl_post_ops_destroy(list) }
    for postOperation in postOperations {
      let status =
        switch postOperation {
        case .accumulate: onednn_append_sum(list)
        case .activation(.none): dnnl_success
        case .activation(.silu): onednn_append_activation(list, dnnl_eltwise_swish, 1)
        case .activation(.quickGELU): onednn_append_activation(list, dnnl_eltwise_swish, 1.702)
        case .activation(.gelu): onednn_append_activation(list, dnnl_eltwise_gelu_erf, 0)
        case .add(let layout): onednn_append_addend(list, layout.handle)
        }
      try check(status, action)
    }
    try check(dnnl_primitive_attr_set_post_ops(attributes, list), action)
    isComplete = true
    return attributes
  }

  private init(_ operation: dnnl_primitive_desc_t?, isSmall: Bool = false, engine: OneDNNEngine) throws {
    let failure = TensorError("oneDNN could not compile an operation")
    guard let operation, let source = try OneDNNLayout(of: dnnl_query_src_md, in: operation),
      let result = try OneDNNLayout(of: dnnl_query_dst_md, in: operation)
    else { throw failure }
    (self.source, self.result) = (source, result)
    weights = try OneDNNLayout(of: dnnl_query_weights_md, in: operation)
    scratchpad = try OneDNNLayout(of: dnnl_query_scratchpad_md, in: operation)
    var primitive: dnnl_primitive_t?
    try check(dnnl_primitive_create(&primitive, operation), "compile an operation")
    guard let primitive else { throw failure }
    (self.engine, self.primitive, self.isSmall) = (engine, primitive, isSmall)
    var name: UnsafePointer<CChar>?
    dnnl_primitive_desc_query(operation, dnnl_query_impl_info_str, 0, &name)
    // Such as "ref:any" and "gemm:ref".
    isReference =
      name.map { String(cString: $0).utf8.split(separator: UInt8(ascii: ":")).contains { $0.starts(with: "ref".utf8) } }
      ?? false
  }

  deinit {
    for memory in memories.values { dnnl_memory_destroy(memory) }
    dnnl_primitive_destroy(primitive)
  }

  /// Runs on the given arrays, which must be the same ones (but for their places) every time.
  func run(_ arguments: [Argument], pool: MemoryPool) throws {
    let workspace = try TensorStorage(byteCount: scratchpadByteCount, pool: pool)
    try run(arguments, scratchpad: workspace.base)
    withExtendedLifetime(workspace) {}
  }

  var scratchpadByteCount: Int { scratchpad?.byteCount ?? 0 }

  /// - Parameter workspace: `scratchpadByteCount` bytes.
  func run(_ arguments: [Argument], scratchpad workspace: UnsafeMutableRawPointer) throws {
    let all = arguments + (scratchpad.map { [(DNNL_ARG_SCRATCHPAD, $0, workspace)] } ?? [])
    let list = try all.map { dnnl_exec_arg_t(arg: $0.index, memory: try memory($0)) }
    let threads = kernel_thread_count()
    if isSmall { kernel_set_thread_count(1) }
    defer { kernel_set_thread_count(threads) }
    try check(dnnl_primitive_execute(primitive, engine.stream, CInt(list.count), list), "run an operation")
    try check(dnnl_stream_wait(engine.stream), "run an operation")
  }

  private func memory(_ argument: Argument) throws -> dnnl_memory_t {
    if let known = memories[argument.index] {
      try check(dnnl_memory_set_data_handle(known, argument.pointer), "use memory")
      return known
    }
    var created: dnnl_memory_t?
    try check(onednn_memory_create(&created, argument.layout.handle, engine.engine, argument.pointer), "use memory")
    guard let created else { throw TensorError("oneDNN could not use memory") }
    memories[argument.index] = created
    return created
  }
}

/// The compiled operations of one layer for the last few shapes it saw.
struct OneDNNPrimitives<Key: Hashable> {
  private var known: [Key: OneDNNPrimitive] = [:]
  /// Oldest first.
  private var order: [Key] = []
  private static var capacity: Int { 16 }

  mutating func find(_ key: Key, orMake make: () throws -> OneDNNPrimitive) rethrows -> OneDNNPrimitive {
    if let primitive = known[key] { return primitive }
    let primitive = try make()
    if order.count == Self.capacity { known[order.removeFirst()] = nil }
    known[key] = primitive
    order.append(key)
    return primitive
  }
}

/// The weights of one layer, held once for every layout that its operations ask for; as a rule that is one.
struct OneDNNPackedWeights {
  private var copies: [OneDNNWeights]

  init(_ weights: OneDNNWeights) { copies = [weights] }

  /// The layout that operations should be asked to work with.
  var preferred: OneDNNLayout { copies[0].layout }

  /// - Parameter layout: As an operation asks for it.
  mutating func find(_ layout: OneDNNLayout?, engine: OneDNNEngine) throws -> OneDNNWeights {
    guard let layout else { return copies[0] }
    if let copy = copies.first(where: { $0.layout == layout }) { return copy }
    let copy = try engine.reorder(copies[0], to: layout)
    copies.append(copy)
    return copy
  }
}
