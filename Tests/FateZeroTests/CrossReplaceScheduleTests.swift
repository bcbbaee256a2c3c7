import FateZero
import StableDiffusion
import Testing

@Suite struct CrossReplaceScheduleTests {
  /// The reference was asked with a target prompt whose fourth token is "tiger".
  @Test func intervalsAreTheReferences() throws {
    let target = PromptWords(
      "a red tiger walking on the floor", tokenizer: try ReferenceUnits.tokenizer(), matching: .exact)
    #expect(target.positions(of: "tiger") == [3])
    let units = try ReferenceUnits.load().crossAlpha
    #expect(units.count > 20)
    for unit in units {
      let schedule = try CrossReplaceSchedule(unit.spec.crossReplace, target: target, steps: unit.steps)
      func active(_ position: Int) -> [Int] { (0...unit.steps).filter { schedule.active(step: $0)[position] == 1 } }
      #expect(active(0) == unit.activeEverywhere, "\(unit.steps) \(unit.spec)")
      #expect(active(3) == unit.activeTiger, "\(unit.steps) \(unit.spec)")
      #expect(schedule.active(step: 0).count == 77)
    }
  }

  @Test func aLaterWordOverwritesAnEarlierOne() throws {
    let target = PromptWords("a red tiger", tokenizer: try ReferenceUnits.tokenizer())
    let twice = CrossReplace(
      everywhere: .all,
      words: [WordRange(word: "tiger", steps: StepRange(0, 0.2)), WordRange(word: "tiger", steps: StepRange(0.5, 1))])
    let schedule = try CrossReplaceSchedule(twice, target: target, steps: 9)
    #expect(schedule.ranges[3] == 5..<10)
    #expect(schedule.ranges[2] == 0..<10)
    #expect(throws: SettingsError.self) {
      try CrossReplaceSchedule(
        CrossReplace(everywhere: .all, words: [WordRange(word: "lion", steps: .all)]), target: target, steps: 9)
    }
  }
}
