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
    case add(dnnl_memory_desc_t)
  }

  typealias Argument = (index: CInt, descriptor: dnnl_memory_desc_t, pointer: UnsafeMutableRawPointer)

  /// The layouts of the operands, those that the library chose among them.
  let source: dnnl_memory_desc_t, weights: dnnl_memory_desc_t, result: dnnl_memory_desc_t
  /// Whether the library has only its plain loops for this operation, a hundred times slower than its others.
  let isReference: Bool
  private let engine: OneDNNEngine
  private let primitive: dnnl_primitive_t
  private let scratchpad: dnnl_memory_desc_t
  /// Little work runs on the calling thread alone. The library fixes the number of threads when it compiles.
  private let isSmall: Bool
  /// Made at the first run, then only moved.
  private var memories: [CInt: dnnl_memory_t] = [:]

  static func addend(_ position: Int) -> CInt {
    DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE * CInt(position + 1) | DNNL_ARG_SRC_1
  }

  /// - Parameters:
  ///   - operation: points to the operation's own descriptor, such as `dnnl_matmul_desc_t`.
  ///   - work: Floating-point operations of one run.
  convenience init(
    _ operation: UnsafeRawPointer, _ postOperations: [PostOperation], work: Int, engine: OneDNNEngine
  ) throws {
    let isSmall = work < Device.smallWork
    let threads = kernel_thread_count()
    if isSmall { kernel_set_thread_count(1) }
    defer { kernel_set_thread_count(threads) }
    let attributes = try OneDNNPrimitive.attributes(postOperations)
    defer { dnnl_primitive_attr_destroy(attributes) }
    var descriptor: dnnl_primitive_desc_t?
    try check(
      dnnl_primitive_desc_create(&descriptor, operation, attributes, engine.engine, nil), "prepare an operation")
    defer { dnnl_primitive_desc_destroy(descriptor) }
    try self.init(descriptor, isSmall: isSmall, engine: engine)
  }

  /// A copy into another layout.
  convenience init(
    reordering source: dnnl_memory_desc_t, to result: dnnl_memory_desc_t, _ postOperations: [PostOperation] = [],
    engine: OneDNNEngine
  ) throws {
    let attributes = try OneDNNPrimitive.attributes(postOperations)
    defer { dnnl_primitive_attr_destroy(attributes) }
    var (source, result) = (source, result)
    var descriptor: dnnl_primitive_desc_t?
    try check(
      dnnl_reorder_primitive_desc_create(
        &descriptor, &source, engine.engine, &result, engine.engine, attributes), "change a layout")
    defer { dnnl_primitive_desc_destroy(descriptor) }
    try self.init(descriptor, engine: engine)
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
        case .accumulate: dnnl_post_ops_append_sum(list, 1)
        case .activation(.none): dnnl_success
        case .activation(.silu): dnnl_post_ops_append_eltwise(list, 1, dnnl_eltwise_swish, 1, 0)
        case .activation(.quickGELU): dnnl_post_ops_append_eltwise(list, 1, dnnl_eltwise_swish, 1.702, 0)
        case .activation(.gelu): dnnl_post_ops_append_eltwise(list, 1, dnnl_eltwise_gelu_erf, 0, 0)
        case .add(var descriptor): dnnl_post_ops_append_binary(list, dnnl_binary_add, &descriptor)
        }
      try check(status, action)
    }
    try check(dnnl_primitive_attr_set_post_ops(attributes, list), action)
    isComplete = true
    return attributes
  }

  private init(_ descriptor: dnnl_primitive_desc_t?, isSmall: Bool = false, engine: OneDNNEngine) throws {
    self.isSmall = isSmall
    var primitive: dnnl_primitive_t?
    try check(dnnl_primitive_create(&primitive, descriptor), "compile an operation")
    guard let primitive else { throw TensorError("oneDNN could not compile an operation") }
    (self.engine, self.primitive) = (engine, primitive)
    var name: UnsafePointer<CChar>?
    dnnl_primitive_desc_query(descriptor, dnnl_query_impl_info_str, 0, &name)
    isReference = name.map { String(cString: $0).utf8.starts(with: "ref".utf8) } ?? false
    func layout(_ query: dnnl_query_t) -> dnnl_memory_desc_t {
      dnnl_primitive_desc_query_md(descriptor, query, 0)?.pointee ?? dnnl_memory_desc_t()
    }
    source = layout(dnnl_query_src_md)
    weights = layout(dnnl_query_weights_md)
    result = layout(dnnl_query_dst_md)
    scratchpad = layout(dnnl_query_scratchpad_md)
  }

  deinit {
    for memory in memories.values { dnnl_memory_destroy(memory) }
    dnnl_primitive_destroy(primitive)
  }

  /// Runs on the given arrays, which must be the same ones (but for their places) every time.
  func run(_ arguments: [Argument], pool: MemoryPool) throws {
    let workspace = try TensorStorage(byteCount: scratchpad.byteCount, pool: pool)
    try run(arguments, scratchpad: workspace.base)
    withExtendedLifetime(workspace) {}
  }

  var scratchpadByteCount: Int { scratchpad.byteCount }

  /// - Parameter workspace: `scratchpadByteCount` bytes.
  func run(_ arguments: [Argument], scratchpad workspace: UnsafeMutableRawPointer) throws {
    let all = arguments + [(DNNL_ARG_SCRATCHPAD, scratchpad, workspace)]
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
    var descriptor = argument.descriptor
    var created: dnnl_memory_t?
    try check(dnnl_memory_create(&created, &descriptor, engine.engine, argument.pointer), "use memory")
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
  var preferred: dnnl_memory_desc_t { copies[0].descriptor }

  mutating func find(_ descriptor: dnnl_memory_desc_t, engine: OneDNNEngine) throws -> OneDNNWeights {
    if let copy = copies.first(where: { dnnl_memory_desc_t.equal($0.descriptor, descriptor) }) { return copy }
    let copy = try engine.reorder(copies[0], to: descriptor)
    copies.append(copy)
    return copy
  }
}
