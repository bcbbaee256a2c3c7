import CDNNL

/// How an array lies in memory: its extents, their order and the type of its elements.
final class OneDNNLayout: Equatable, @unchecked Sendable {
  let handle: onednn_layout_t

  /// An array of the given extents; the tag says in which order they lie, `dnnl_format_tag_any` leaves it to the library.
  init(_ extents: [Int], _ tag: dnnl_format_tag_t, _ type: dnnl_data_type_t = dnnl_f32) throws {
    var created: onednn_layout_t?
    try check(
      onednn_layout_create(&created, CInt(extents.count), extents.map(dnnl_dim_t.init), type, tag),
      "describe an array of \(extents)")
    guard let created else { throw TensorError("oneDNN could not describe an array of \(extents)") }
    handle = created
  }

  /// The layout of an operand, as the library chose it; nil where the operation has no such operand.
  init?(of operand: dnnl_query_t, in operation: dnnl_primitive_desc_t) throws {
    var copy: onednn_layout_t?
    try check(onednn_operation_layout(&copy, operation, operand), "describe an operand")
    guard let copy else { return nil }
    handle = copy
  }

  deinit { onednn_layout_destroy(handle) }

  static func == (a: OneDNNLayout, b: OneDNNLayout) -> Bool { onednn_layout_equal(a.handle, b.handle) != 0 }

  var byteCount: Int { onednn_layout_size(handle) }
}
