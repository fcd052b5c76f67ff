import ArgumentParser
import Domain
import Foundation
import Messaging
import Persistence
import Postgres

extension DeadLettersCommand {
    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write letters to a file, one JSON object on each line, bodies and all.",
            discussion: "The file holds personal data. `neff dead-letters import` reads it back, byte for byte.")

        @Argument(help: "Ids of letters; without them, all that the options select.") var ids: [String] = []
        @OptionGroup var selection: LetterSelection
        @Option(help: "Only letters in this state: dead, replaying, replayed or discarded.") var status:
            DeadLetter.Status?
        @Option(name: .shortAndLong, help: "A file that is not there yet; standard output without it.") var output = "-"
        @OptionGroup var who: OperatorOptions

        func validate() throws {
            if !ids.isEmpty, !selection.isEmpty || status != nil {
                throw ValidationError("ids and options that select exclude each other")
            }
        }

        func run() async throws {
            let ids = try ids.map(DeadLetterIdentifier.read)
            let file = try LetterFile(path: output, appends: false)
            let count = try await Database.with("dead-letters") { pool in
                var count = 0
                if ids.isEmpty {
                    var cursor: DeadLetterID?
                    repeat {
                        let page = try await DeadLetters.list(
                            selection.filter(status: status), after: cursor, limit: 500, on: pool)
                        try file.write(page.letters)
                        count += page.letters.count
                        cursor = page.next
                    } while cursor != nil
                } else {
                    for id in ids {
                        guard let letter = try await DeadLetters.find(id, on: pool) else {
                            throw Failure(.data, "There is no dead letter \(id).")
                        }
                        try file.write([letter])
                        count += 1
                    }
                }
                try file.synchronise()
                try await pool.withTransaction { [count] transaction in
                    try await OperatorLog.append(
                        OperatorAct(
                            actor: who.actor, kind: .exportLetters, subject: output,
                            details: JSONText("{\"letters\":\(count)}")), in: transaction)
                }
                return count
            }
            Terminal.complain("\(count) letters exported")
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read letters from a file that `export` or `drain` wrote.",
            discussion: """
                A death that is in the journal already adds nothing, so a file can be imported twice. A file with a line \
                that is no letter is refused as a whole.
                """)

        @Argument(help: "The file; - is standard input.") var file: String
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let letters = try LetterFile.read(file)
            let added = try await Database.with("dead-letters") { pool in
                try await DeadLetters.import(letters, from: file, by: who.actor, on: pool)
            }
            if json {
                try Output.json(ImportView(letters: letters.count, new: added.count))
            } else {
                print("\(added.count) of \(letters.count) letters imported; the others were in the journal")
            }
        }
    }
}

private struct ImportView: Encodable {
    let letters: Int
    let new: Int
}
