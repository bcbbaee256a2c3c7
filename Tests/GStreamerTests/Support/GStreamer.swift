import CGstCheck
import CGstFateZero
import Dispatch
import Foundation
import Glibc
import Synchronization
import TestSupport

/// GStreamer in this process.
enum GStreamer {
  /// Where the presets that are installed lie.
  static let presets = Workbench.root + "/packaging/presets"

  /// Called before anything else; works once.
  static func start() { _ = started }

  private static let started: Void = {
    setenv("GST_PRESET_PATH", presets, 1)
    gst_init(nil, nil)
    gst_plugin_fatezero_register()
  }()

  /// A call that may wait for a streaming thread. One that never ends would hang all tests, and nothing can stop it: the
  /// process ends with a message instead.
  static func bounded<Result>(_ what: String, seconds: Int = 180, _ body: () throws -> Result) rethrows -> Result {
    let isDone = Flag()
    DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds)) {
      if isDone.isSet { return }
      let message = "\(what): not done after \(seconds) s\n"
      _ = message.withCString { write(STDERR_FILENO, $0, strlen($0)) }
      abort()
    }
    defer { isDone.set() }
    return try body()
  }

  private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
  }
}

/// The element with the settings that most tests use: a tiny random model, little work.
enum Element {
  static let caps = "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"

  static let model = Fixtures.folder.appendingPathComponent("modules/sd1").path

  static let settings = [
    "model": model, "size": "64x64", "steps": "2", "clip-length": "4",
    "edit": "a [cat -> tiger] on the grass",
  ]

  /// `fatezero` as a launch line takes it.
  static func line(_ changes: [String: String] = [:]) -> String {
    let properties = settings.merging(["name": "fatezero"]) { $1 }.merging(changes) { $1 }.sorted { $0.key < $1.key }
    return "fatezero " + properties.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: " ")
  }

  static func make(_ changes: [String: String] = [:]) -> UnsafeMutablePointer<GstElement> {
    GStreamer.start()
    guard let element = gst_element_factory_make("fatezero", nil) else { fatalError("there is no element fatezero") }
    gst_object_ref_sink(element)
    for (name, text) in settings.merging(changes, uniquingKeysWith: { $1 }) { set(element, name, text) }
    return element
  }

  static func set(_ element: UnsafeMutablePointer<GstElement>, _ name: String, _ text: String) {
    gst_util_set_object_arg(object(element), name, text)
  }

  /// A property in GStreamer's notation.
  static func get(_ element: UnsafeMutablePointer<GstElement>, _ name: String) -> String? {
    guard let specification = property(element, name) else { return nil }
    var value = GValue()
    g_value_init(&value, specification.pointee.value_type)
    defer { g_value_unset(&value) }
    g_object_get_property(object(element), name, &value)
    guard let text = gst_value_serialize(&value) else { return nil }
    defer { g_free(text) }
    return String(cString: text)
  }

  /// The effective settings as they are printed; nil as long as they are not known.
  static func effective(_ element: UnsafeMutablePointer<GstElement>) -> String? {
    var value = GValue()
    g_value_init(&value, gst_structure_get_type())
    defer { g_value_unset(&value) }
    g_object_get_property(object(element), "effective-settings", &value)
    guard let structure = gst_value_get_structure(&value), let text = gst_structure_to_string(structure) else {
      return nil
    }
    defer { g_free(text) }
    return String(cString: text)
  }

  static func property(
    _ element: UnsafeMutablePointer<GstElement>, _ name: String
  ) -> UnsafeMutablePointer<GParamSpec>? {
    let instance = UnsafeMutableRawPointer(element).assumingMemoryBound(to: GTypeInstance.self)
    let klass = UnsafeMutableRawPointer(instance.pointee.g_class).assumingMemoryBound(to: GObjectClass.self)
    return g_object_class_find_property(klass, name)
  }

  private static func object(_ element: UnsafeMutablePointer<GstElement>) -> UnsafeMutablePointer<GObject> {
    UnsafeMutableRawPointer(element).assumingMemoryBound(to: GObject.self)
  }
}
