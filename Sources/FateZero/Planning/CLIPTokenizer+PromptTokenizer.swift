import StableDiffusion

extension CLIPTokenizer: PromptTokenizer {
  /// The prompt is repaired before it is cut into tokens, as the reference's tokenizer does.
  public func encode(_ text: String) -> [Int] { encode(text, repairing: true) }
}
