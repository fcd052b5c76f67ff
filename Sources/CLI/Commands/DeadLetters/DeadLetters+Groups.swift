import ArgumentParser
import Foundation
import Persistence

extension DeadLettersCommand {
    struct Groups: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Letters by what is alike: one cause, one line.",
            discussion: """
                LAST 12 H shows the letters of each hour, the present one last. NONE SINCE names the first build that ran \
                after the last such letter: the cause may be mended there.
                """)

        @Flag(help: "Also groups all of whose letters were dealt with.") var all = false
        @Option(help: "At most this many, 1 to 500.") var limit = 50
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if !(1...500).contains(limit) { throw ValidationError("--limit must be 1 to 500") }
        }

        func run() async throws {
            let groups = try await Database.with("dead-letters") { pool in
                try await DeadLetters.groups(includesResolved: all, limit: limit, on: pool)
            }
            if json {
                try Output.json(groups.map(GroupView.init))
                return
            }
            if groups.isEmpty {
                print("There are no dead letters.")
                return
            }
            var table = Table(
                "FINGERPRINT", "OPEN", "EVER", "FIRST", "LAST", "LAST 12 H", "HANDLER", "TYPE", "ERROR", "BUILD",
                "NONE SINCE", "EXAMPLE")
            for group in groups {
                table.add(
                    group.fingerprint, String(group.unresolved), String(group.letters), Output.time(group.firstSeen),
                    Output.age(since: group.lastSeen) + " ago", "\(Self.bars(group.hourly)) \(group.trend.rawValue)",
                    group.handler, group.type,
                    [group.errorCode, group.normalisedError].compactMap { $0 }.filter { !$0.isEmpty }
                        .joined(separator: ": "), group.build ?? "-", group.noneSinceBuild ?? "-", group.example)
            }
            table.print()
        }

        /// A bar for each number, as high as its share of the highest; a space for none.
        static func bars(_ numbers: [Int]) -> String {
            let shapes = Array("▁▂▃▄▅▆▇█")
            let highest = max(numbers.max() ?? 0, 1)
            return String(numbers.map { $0 == 0 ? "·" : shapes[($0 * (shapes.count - 1) + highest - 1) / highest] })
        }
    }
}

private struct GroupView: Encodable {
    let fingerprint: String
    let cause: String
    let unresolved: Int
    let letters: Int
    let firstSeen: Date
    let lastSeen: Date
    let hourly: [Int]
    let trend: String
    let handler: String
    let type: String
    let errorCode: String?
    let normalisedError: String
    let build: String?
    let noneSinceBuild: String?
    let example: String

    init(_ group: LetterGroup) {
        fingerprint = group.fingerprint
        cause = group.cause
        unresolved = group.unresolved
        letters = group.letters
        firstSeen = group.firstSeen
        lastSeen = group.lastSeen
        hourly = group.hourly
        trend = group.trend.rawValue
        handler = group.handler
        type = group.type
        errorCode = group.errorCode
        normalisedError = group.normalisedError
        build = group.build
        noneSinceBuild = group.noneSinceBuild
        example = group.example
    }
}
