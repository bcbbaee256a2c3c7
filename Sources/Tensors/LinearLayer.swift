/// Packed weights of a linear layer, y = x W^T + b. Made by `Device.makeLinear`, used on the device that made it.
public final class LinearLayer: Sendable {
  public let inputs: Int, outputs: Int
  /// The device whose lock guards what is packed.
  let device: Device
  let packed: any PackedLinear

  init(inputs: Int, outputs: Int, device: Device, packed: any PackedLinear) {
    (self.inputs, self.outputs, self.device, self.packed) = (inputs, outputs, device, packed)
  }
}
