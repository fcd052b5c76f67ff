import ArgumentParser
import Domain
import Foundation
import Persistence
import Postgres

extension DeadLettersCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List letters, the youngest first.")

        @OptionGroup var selection: LetterSelection
        @Option(help: "Only letters in this state: dead, replaying, replayed or discarded.") var status:
            DeadLetter.Status?
        @Flag(help: "Letters in every state; without it, and without --status, only dead ones.") var all = false
        @Option(help: "At most this many, 1 to 500.") var limit = 50
        @Option(help: "Go on after this letter.") var after: String?
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if !(1...500).contains(limit) { throw ValidationError("--limit must be 1 to 500") }
            if all, status != nil { throw ValidationError("--all and --status exclude each other") }
        }

        func run() async throws {
            let filter = selection.filter(status: all ? nil : status ?? .dead)
            let cursor = try after.map(DeadLetterIdentifier.read)
            let page = try await Database.with("dead-letters") { pool in
                do {
                    return try await DeadLetters.list(filter, after: cursor, limit: limit, on: pool)
                } catch let error as PostgresError where filter.jsonPath != nil && error.isPathFault {
                    throw Failure(.usage, "--json-path is not an SQL/JSON path: \(error.message)")
                }
            }
            if json {
                try Output.json(PageView(letters: page.letters.map(LetterView.init), next: page.next))
                return
            }
            if page.letters.isEmpty {
                print("There are no such dead letters.")
                return
            }
            var table = Table("ID", "QUEUE", "TYPE", "DIED", "TRIES", "STATE", "WHY")
            for letter in page.letters {
                let state = letter.status.rawValue + (letter.patch == nil ? "" : ", edited")
                let why = [letter.errorCode ?? letter.reason, letter.errorText].compactMap { $0 }
                table.add(
                    letter.id.rawValue, letter.queue, letter.type, Output.time(letter.diedAt),
                    String(letter.attemptCount), state, why.joined(separator: ": "))
            }
            table.print()
            if let next = page.next { print("More: the same command with --after \(next)") }
        }
    }
}

/// A page of letters as JSON.
private struct PageView: Encodable {
    let letters: [LetterView]
    let next: DeadLetterID?
}

extension PostgresError {
    /// Whether the server could not read an SQL/JSON path.
    var isPathFault: Bool { ["22", "42"].contains(sqlState?.classCode) }
}
