import Text

/// Reads the pickles that `torch.save` writes for a dictionary of tensors, and nothing else. A pickle is a program;
/// this is an interpreter for the few of its instructions that build plain values. A name that a pickle wants to import
/// only ever labels a value here. No code runs, whatever the file says.
struct PickleReader {
  /// Lists, tuples and dictionaries live in `collections` and are named by their index: nothing here is recursive, so
  /// neither reading nor freeing a hostile file can exhaust the stack.
  enum Value {
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    /// One of `strings`: a pickle may name a long one often.
    case string(Int)
    case list(Int)
    case tuple(Int)
    case dictionary(Int)
    /// "module.name".
    case global(String)
    case storage(Storage)
    case tensor(Int)
    /// What `ignoredGlobals` would make.
    case other
  }

  /// Raw numbers in the archive.
  struct Storage {
    let type: String
    let key: String
    /// The same for the same key, as long as the pickle does not spell it again.
    let keyIndex: Int
    let count: Int
  }

  struct TensorDescription {
    let storage: Storage
    /// Of the numbers, where the storage does not say it.
    let type: String?
    /// In elements.
    let offset: Int
    let shape: [Int]
    /// In elements.
    let strides: [Int]
  }

  /// Longest pickle that is read. That of Stable Diffusion's UNet has 150 kB.
  static let byteLimit = 2 << 20

  /// Everything that a pickle may name.
  static let orderedDictionary = "collections.OrderedDict"
  static let rebuildTensor = "torch._utils._rebuild_tensor_v2"
  /// The same with the type of the numbers behind the arguments.
  static let rebuildTypedTensor = "torch._utils._rebuild_tensor_v3"
  static let rebuildParameter = "torch._utils._rebuild_parameter"
  /// What training leaves beside the weights: named, called and filled in the pickles of published checkpoints, and no
  /// more than a placeholder here.
  static let ignoredGlobals: Set<String> = [
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "pytorch_lightning.utilities.parsing.AttributeDict",
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "_codecs.encode",
  ]
  static let storageTypes: Set<String> = [
    "FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage", "LongStorage", "IntStorage", "ShortStorage",
    "CharStorage",
    "ByteStorage", "BoolStorage",
  ]
  static let untypedStorage = "UntypedStorage"
  /// Types of numbers that have no storage of their own.
  static let numberTypes: Set<String> = ["float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"]

  private let path: String
  private let bytes: [UInt8]
  private var place = 0
  private var stack: [Value] = []
  private var marks: [Int] = []
  private var memo: [Int: Value] = [:]
  /// Items of lists and tuples; keys and values of dictionaries in turn.
  private var collections: [[Value]] = []
  private var tensors: [TensorDescription] = []
  private var strings: [String] = []

  /// - Parameter path: for messages.
  private init(_ bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  /// The named tensors of a pickled dictionary, or of the dictionary under its key "state_dict"; those of the dictionary
  /// under "string_to_param", as textual inversions have it, with that and a dot before their names.
  /// - Throws: `ModelError`, `.unsupported` where the pickle wants something that is not on the list.
  static func tensors(in bytes: [UInt8], path: String) throws -> [String: TensorDescription] {
    guard bytes.count <= byteLimit else {
      throw ModelError(.badData, "\(path) has a pickle of \(bytes.count) bytes; at most \(byteLimit) are read")
    }
    var reader = PickleReader(bytes, path: path)
    let result = try reader.run()
    guard case .dictionary(var index) = result else { throw reader.damaged("it is not a dictionary of tensors") }
    if case .dictionary(let inner)? = reader.value("state_dict", in: index) { index = inner }
    var named = reader.tensors(in: index)
    if case .dictionary(let words)? = reader.value("string_to_param", in: index) {
      for (name, tensor) in reader.tensors(in: words) { named["string_to_param.\(name)"] = tensor }
    }
    return named
  }

  private func tensors(in index: Int) -> [String: TensorDescription] {
    var last: [Int: Int] = [:]
    let items = collections[index]
    for pair in stride(from: 0, to: items.count, by: 2) {
      // Counters and settings that training code leaves beside the weights are not weights.
      guard case .string(let name) = items[pair], case .tensor = items[pair + 1] else { continue }
      last[name] = pair
    }
    var named: [String: TensorDescription] = [:]
    for (name, pair) in last.sorted(by: { $0.value < $1.value }) {
      if case .tensor(let tensor) = items[pair + 1] { named[strings[name]] = tensors[tensor] }
    }
    return named
  }

  private func value(_ key: String, in index: Int) -> Value? {
    let items = collections[index]
    for pair in stride(from: 0, to: items.count, by: 2) {
      if case .string(let name) = items[pair], strings[name] == key { return items[pair + 1] }
    }
    return nil
  }

  // MARK: Instructions

  private mutating func run() throws -> Value {
    while true {
      let opcode = try byte()
      switch opcode {
      case 0x80:  // PROTO
        let version = try byte()
        guard version <= 2 else {
          throw ModelError(
            .unsupported,
            "\(path) is a pickle of protocol \(version); PyTorch writes protocol 2, save the file with torch.save")
        }
      case UInt8(ascii: "."):
        guard stack.count == 1, marks.isEmpty else { throw damaged("values are left over") }
        return try pop()
      case UInt8(ascii: "N"): stack.append(.none)
      case 0x88: stack.append(.bool(true))
      case 0x89: stack.append(.bool(false))
      case UInt8(ascii: "K"): stack.append(.integer(Int(try number(1))))
      case UInt8(ascii: "M"): stack.append(.integer(Int(try number(2))))
      case UInt8(ascii: "J"): stack.append(.integer(Int(Int32(truncatingIfNeeded: try number(4)))))
      case 0x8a: stack.append(.integer(try longInteger()))
      case UInt8(ascii: "G"):
        stack.append(.number(Double(bitPattern: try take(8).reduce(0) { $0 << 8 | UInt64($1) })))
      case UInt8(ascii: "X"): try pushText(count: Int(try number(4)))
      case UInt8(ascii: "U"): try pushText(count: Int(try number(1)))
      case UInt8(ascii: "T"): try pushText(count: Int(try number(4)))
      case UInt8(ascii: "]"): stack.append(.list(store([])))
      case UInt8(ascii: "}"): stack.append(.dictionary(store([])))
      case UInt8(ascii: ")"): stack.append(.tuple(store([])))
      case UInt8(ascii: "("): marks.append(stack.count)
      case UInt8(ascii: "t"): stack.append(.tuple(store(try popToMark())))
      case 0x85: stack.append(.tuple(store(try pop(1))))
      case 0x86: stack.append(.tuple(store(try pop(2))))
      case 0x87: stack.append(.tuple(store(try pop(3))))
      case UInt8(ascii: "a"): try appendToList(try pop(1))
      case UInt8(ascii: "e"): try appendToList(try popToMark())
      case UInt8(ascii: "s"): try setItems(try pop(2))
      case UInt8(ascii: "u"): try setItems(try popToMark())
      case UInt8(ascii: "q"): memo[Int(try number(1))] = try top()
      case UInt8(ascii: "r"): memo[Int(try number(4))] = try top()
      case UInt8(ascii: "h"): stack.append(try remembered(Int(try number(1))))
      case UInt8(ascii: "j"): stack.append(try remembered(Int(try number(4))))
      case UInt8(ascii: "c"): stack.append(.global(try allowedGlobal()))
      case UInt8(ascii: "Q"): stack.append(.storage(try persistentStorage()))
      case UInt8(ascii: "R"): try reduce()
      case UInt8(ascii: "b"):
        // The attributes of an OrderedDict (torch's `_metadata`) or of an ignored global: of no use here.
        _ = try pop()
        switch try top() {
        case .dictionary, .other: break
        default: throw refused("to set attributes of an object")
        }
      default:
        throw refused("the instruction 0x\(String(opcode, radix: 16))")
      }
    }
  }

  /// `module\nname\n`, if it is on the list.
  private mutating func allowedGlobal() throws -> String {
    let name = try line() + "." + line()
    let parts = name.pieces(at: ".", maxSplits: 1)
    let isType =
      parts.count == 2 && parts[0] == "torch"
      && (Self.storageTypes.contains(String(parts[1])) || Self.numberTypes.contains(String(parts[1])))
    let isUntypedStorage = name == "torch.storage.\(Self.untypedStorage)"
    let isBuilder = [Self.orderedDictionary, Self.rebuildTensor, Self.rebuildTypedTensor, Self.rebuildParameter]
      .contains(name)
    guard isType || isUntypedStorage || isBuilder || Self.ignoredGlobals.contains(name) else {
      throw refused("to use \(name.prefix(200))")
    }
    return name
  }

  /// A reference to an entry of the archive: ("storage", type, key, device, count).
  private mutating func persistentStorage() throws -> Storage {
    guard case .tuple(let index) = try pop(), collections[index].count == 5,
      case .string(let kind) = collections[index][0], strings[kind] == "storage",
      case .global(let type) = collections[index][1], type.begins(with: "torch."),
      case .string(let key) = collections[index][2],
      case .integer(let count) = collections[index][4], count >= 0
    else { throw damaged("a reference to the numbers of a tensor is malformed") }
    return Storage(
      type: type.pieces(at: ".").last.map(String.init) ?? "", key: strings[key], keyIndex: key, count: count)
  }

  /// A call, of one of the four things that may be called, or of a bystander, which gives a placeholder.
  private mutating func reduce() throws {
    let operands = try pop(2)
    guard case .global(let name) = operands[0], case .tuple(let index) = operands[1] else {
      throw refused("to call something")
    }
    let arguments = collections[index]
    switch name {
    case Self.orderedDictionary where arguments.isEmpty: stack.append(.dictionary(store([])))
    case Self.rebuildTensor: stack.append(try rebuiltTensor(arguments, type: nil))
    case Self.rebuildTypedTensor:
      guard arguments.count >= 7, case .global(let type) = arguments[6], type.begins(with: "torch.") else {
        throw damaged("a tensor has no type")
      }
      stack.append(try rebuiltTensor(arguments, type: String(type.dropFirst("torch.".count))))
    case Self.rebuildParameter:
      guard case .tensor? = arguments.first else { throw damaged("a parameter is malformed") }
      stack.append(arguments[0])
    case _ where Self.ignoredGlobals.contains(name): stack.append(.other)
    default: throw refused("to call \(name)")
    }
  }

  private mutating func rebuiltTensor(_ arguments: [Value], type: String?) throws -> Value {
    guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
      case .tuple(let sizes) = arguments[2], case .tuple(let steps) = arguments[3], offset >= 0
    else { throw damaged("a tensor is malformed") }
    let rank = collections[sizes].count
    guard rank <= 16, collections[steps].count == rank else { throw damaged("a tensor has an impossible shape") }
    let shape = integers(in: sizes), strides = integers(in: steps)
    guard shape.count == rank, strides.count == rank, (shape + strides).allSatisfy({ $0 >= 0 }) else {
      throw damaged("a tensor has an impossible shape")
    }
    tensors.append(TensorDescription(storage: storage, type: type, offset: offset, shape: shape, strides: strides))
    return .tensor(tensors.count - 1)
  }

  private func integers(in index: Int) -> [Int] {
    collections[index].compactMap { if case .integer(let value) = $0 { value } else { nil } }
  }

  private mutating func appendToList(_ items: [Value]) throws {
    guard case .list(let index) = try top() else { throw damaged("it appends to something that is not a list") }
    collections[index] += items
  }

  private mutating func setItems(_ items: [Value]) throws {
    guard case .dictionary(let index) = try top(), items.count.isMultiple(of: 2) else {
      throw damaged("it sets items of something that is not a dictionary")
    }
    collections[index] += items
  }

  // MARK: Stack and bytes

  private mutating func store(_ items: [Value]) -> Int {
    collections.append(items)
    return collections.count - 1
  }

  private func top() throws -> Value {
    guard let value = stack.last, stack.count > marks.last ?? 0 else { throw damaged("its stack is empty") }
    return value
  }

  private mutating func pop() throws -> Value { try pop(1)[0] }

  private mutating func pop(_ count: Int) throws -> [Value] {
    guard stack.count - (marks.last ?? 0) >= count else { throw damaged("its stack is empty") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws -> [Value] {
    guard let mark = marks.popLast() else { throw damaged("a mark is missing") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  private func remembered(_ index: Int) throws -> Value {
    guard let value = memo[index] else { throw damaged("it recalls a value that it never kept") }
    return value
  }

  private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count <= bytes.count - place else { throw damaged("it ends in the middle") }
    defer { place += count }
    return bytes[place..<place + count]
  }

  private mutating func byte() throws -> UInt8 {
    guard place < bytes.count else { throw damaged("it ends in the middle") }
    defer { place += 1 }
    return bytes[place]
  }

  private mutating func number(_ count: Int) throws -> UInt64 { try take(count).littleEndian }

  private mutating func longInteger() throws -> Int {
    let count = Int(try number(1))
    let digits = try take(count)
    guard count <= 8 else { throw damaged("a number has \(count) bytes") }
    guard count > 0 else { return 0 }
    let shift = 64 - count * 8
    return Int(truncatingIfNeeded: Int64(bitPattern: digits.littleEndian << UInt64(shift)) >> Int64(shift))
  }

  private mutating func pushText(count: Int) throws {
    guard let text = String(validating: try take(count), as: UTF8.self) else { throw damaged("a text is not UTF-8") }
    strings.append(text)
    stack.append(.string(strings.count - 1))
  }

  private mutating func line() throws -> String {
    guard let end = bytes[place...].firstIndex(of: UInt8(ascii: "\n")) else { throw damaged("it ends in the middle") }
    defer { place = end + 1 }
    return String(decoding: bytes[place..<end], as: UTF8.self)
  }

  private func damaged(_ what: String) -> ModelError {
    ModelError(.badData, "\(path) is damaged: \(what) (pickle, byte \(place)); download it again")
  }

  private func refused(_ what: String) -> ModelError {
    ModelError(
      .unsupported,
      """
      \(path) wants \(what), which plain weights do not need (pickle, byte \(place)). No code of it was run. \
      Use the safetensors file of this model, or do not trust its source
      """)
  }
}
