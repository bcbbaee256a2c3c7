/// Everything that reads files of strangers. The settings' text of frei0r is read in C, by a program of its own
/// (`Fuzz/frei0r.c`).
var fuzzTargets: [any FuzzTarget.Type] {
  [
    SafetensorsTarget.self, PickleTarget.self, ZipTarget.self, ShapesTarget.self, ConfigurationsTarget.self,
    TokenizerTarget.self, PromptsTarget.self, YAMLTarget.self, JobsTarget.self, SettingsTarget.self, PlanTarget.self,
    CacheTarget.self, MatroskaTarget.self, MediaTarget.self, ArgumentsTarget.self, PagesTarget.self, NamesTarget.self,
  ]
}
