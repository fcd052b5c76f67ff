import ArgumentParser
import Domain
import Persistence
import Postgres

extension DeadLettersCommand {
    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give letters up. They stay in the journal, with the reason, and can be restored.")

        @Argument(help: "Ids of letters.") var ids: [String] = []
        @Option(help: "All dead letters of this group.") var fingerprint: String?
        @Option(help: "Why; kept in the journal.") var reason: String
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if ids.isEmpty == (fingerprint == nil) { throw ValidationError("give either ids or --fingerprint") }
            if reason.isEmpty { throw ValidationError("--reason must not be empty") }
        }

        func run() async throws {
            var ids = try ids.map(DeadLetterIdentifier.read)
            let discarded = try await Database.with("dead-letters") { pool in
                if let fingerprint {
                    var filter = DeadLetters.Filter()
                    filter.fingerprint = fingerprint
                    ids = try await DeadLetters.ids(matching: filter, on: pool)
                }
                return try await DeadLetters.discard(ids, reason: reason, by: who.actor, on: pool)
            }
            try ActReport(verb: "discarded", done: discarded, wanted: ids, obstacle: "it is not dead any more")
                .print(json: json)
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a discard back: the letters are dead again.")

        @Argument(help: "Ids of letters.") var ids: [String]
        @Option(help: "Why; kept in the operator log.") var reason: String?
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let ids = try ids.map(DeadLetterIdentifier.read)
            let restored = try await Database.with("dead-letters") { pool in
                try await DeadLetters.restore(ids, reason: reason, by: who.actor, on: pool)
            }
            try ActReport(verb: "restored", done: restored, wanted: ids, obstacle: "it is not discarded")
                .print(json: json)
        }
    }
}

/// What became of each letter that an operator named.
private struct ActReport: Encodable {
    let done: [DeadLetterID]
    let passedOver: [DeadLetterID]
    private let verb: String
    private let obstacle: String

    private enum CodingKeys: String, CodingKey {
        case done, passedOver
    }

    init(verb: String, done: [DeadLetterID], wanted: [DeadLetterID], obstacle: String) {
        self.verb = verb
        self.done = done
        passedOver = Set(wanted).subtracting(done).sorted()
        self.obstacle = obstacle
    }

    /// Ends the command with `findings` if any letter was passed over.
    func print(json: Bool) throws {
        if json {
            try Output.json(self)
        } else {
            for id in done { Swift.print("\(verb) \(id)") }
            for id in passedOver { Swift.print("passed over \(id): there is no such letter, or \(obstacle)") }
        }
        if !passedOver.isEmpty { throw ExitCode(Failure.Code.findings.rawValue) }
    }
}
