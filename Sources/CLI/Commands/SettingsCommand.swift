import ArgumentParser
import Settings

struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "List every setting: what it is for, its format, its default, its value now."
    )

    @Flag(help: "Print the table of the README.") var markdown = false

    func run() throws {
        let settings = try Settings.load()
        if markdown {
            print("| Key | Meaning | Format | Default | Secret |")
            print("| --- | --- | --- | --- | --- |")
            for key in Keys.all {
                let fallback = key.defaultText.map { "`\($0)`" } ?? (key.isOptional ? "none" : "must be set")
                print(
                    "| `\(key.name)` | \(key.summary) | \(key.format) | \(fallback) | \(key.isSecret ? "yes" : "no") |")
            }
            return
        }
        for key in Keys.all {
            let value =
                settings.shownValue(key) ?? (key.isOptional ? "(not set)" : "(not set, needed by some commands)")
            print("\(key.name) = \(value)")
            print("    \(key.summary) Format: \(key.format).")
        }
    }
}
