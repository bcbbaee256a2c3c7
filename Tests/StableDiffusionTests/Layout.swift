import Tensors
import TestSupport

/// Entry `index` of a batch (n, ...).
func slice(_ entry: TensorDump.Entry, _ index: Int) -> [Double] {
  let size = entry.values.count / entry.shape[0]
  return Array(entry.values[index * size..<(index + 1) * size])
}

/// Entry `index` of (n, c, h, w) as (1, h, w, c).
func channelsLast(_ entry: TensorDump.Entry, _ index: Int = 0) throws -> Tensor {
  let (channels, rows, columns) = (entry.shape[1], entry.shape[2], entry.shape[3])
  let values = slice(entry, index)
  var result: [Float] = []
  for position in 0..<rows * columns {
    for channel in 0..<channels { result.append(Float(values[channel * rows * columns + position])) }
  }
  return try Tensor(result, shape: [1, rows, columns, channels])
}

/// (1, h, w, c) as the numbers of (c, h, w).
func channelsFirst(_ tensor: Tensor) throws -> [Float] {
  let channels = tensor.shape[3]
  let values = tensor.floats
  return (0..<channels).flatMap { channel in
    stride(from: channel, to: values.count, by: channels).map { values[$0] }
  }
}
