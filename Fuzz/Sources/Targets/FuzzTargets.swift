/// Everything that reads files of strangers. The settings' text of frei0r is read in C, by a program of its own
/// (`Fuzz/frei0r.c`).
var fuzzTargets: [any FuzzTarget.Type] {
  [
    SafetensorsTarget.self, PickleTarget.self, ZipTarget.self, ShapesTarget.self, ConfigurationsTarget.self,
    TokenizerTarget.self, PromptsTarget.self, YAMLTarget.self, JobsTarget.self, SettingsTarget.self, PlanTarget.self,
    CacheTarget.self, MatroskaTarget.self, MediaTarget.self, ArgumentsTarget.self, PagesTarget.self, NamesTarget.self,
  ]
}

/// Swift 6.3 cannot compile a closure that asks a type for its name in what a macro makes of a test.
func fuzzTarget(named name: String) -> (any FuzzTarget.Type)? {
  for target in fuzzTargets where target.name == name { return target }
  return nil
}

var fuzzTargetNames: [String] {
  var names: [String] = []
  for target in fuzzTargets { names.append(target.name) }
  return names
}
