import ArgumentParser
import Foundation

/// A span of time on the command line: a number and `s`, `m`, `h` or `d`, such as `90d`.
struct Span: ExpressibleByArgument {
    let seconds: Double

    init?(argument: String) {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let unit = argument.last.flatMap({ units[$0] }), let number = Int(argument.dropLast()),
            (1...100_000).contains(number)
        else { return nil }
        seconds = Double(number) * unit
    }

    /// The instant so long ago.
    func ago(from now: Date = Date()) -> Date { now.addingTimeInterval(-seconds) }
}
