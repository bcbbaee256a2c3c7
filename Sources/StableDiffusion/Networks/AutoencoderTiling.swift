import Tensors

/// Encoding and decoding in overlapping tiles, for images of which the autoencoder's activations do not fit in memory.
///
/// The tiles, their overlap of a quarter and its linear blending are those of diffusers
/// (`AutoencoderKL.enable_vae_tiling`, `tile_overlap_factor` 0.25), and so are the results: an image is tiled where a side is
/// longer than a tile's, and then a tile begins every three quarters of a tile's side. What differs:
/// - A side is a multiple of 4 latents. With others diffusers rounds the overlap of latents and that of pixels in different
///   ways, and its result has another size than the image.
/// - Where an image's side is no multiple of the autoencoder's factor, no tile begins in the pixels over; diffusers may begin
///   one there, which its encoder refuses as too small.
///
/// The result differs from that of the whole image: norms and the attention of a tile see nothing beside it, so colours and
/// contrast may change a little from tile to tile. The smaller the tiles, the more.
public struct AutoencoderTiling: Sendable, Hashable {
  /// Latents along a tile's side.
  public let side: Int

  /// Sides that a multiple of 4 may have.
  private static let sides = 4...65536

  /// - Parameter side: In latents, a multiple of 4 in 4...65536; diffusers takes `sample_size` divided by the factor, 64 for
  ///   Stable Diffusion 1.
  /// - Throws: `ModelError` for another side.
  public init(side: Int) throws {
    guard Self.sides.contains(side), side % 4 == 0 else {
      throw ModelError(
        .unsupported,
        "tiles of \(side) latents: give a multiple of 4 from \(Self.sides.lowerBound) to \(Self.sides.upperBound)")
    }
    self.init(checked: side)
  }

  private init(checked side: Int) { self.side = side }

  /// What to choose from for latents of the given sides, the best first and the one that takes the least memory last: the
  /// whole image (nil), then tiles of 64, 48 and 32 latents, as far as they are smaller than the image.
  ///
  /// The first that fits is found by `AutoencoderConfiguration.rehearseEncoding` and `.rehearseDecoding`.
  public static func candidates(rows: Int, columns: Int) -> [AutoencoderTiling?] {
    [nil] + [64, 48, 32].map(AutoencoderTiling.init(checked:)).filter { $0.applies(rows: rows, columns: columns) }
  }

  /// Whether latents of the given sides are tiled.
  public func applies(rows: Int, columns: Int) -> Bool { max(rows, columns) > side }

  /// For latents of the given sides.
  public func grid(rows: Int, columns: Int) -> TileGrid {
    TileGrid(rows: rows, columns: columns, side: side, overlap: side / 4)
  }
}
