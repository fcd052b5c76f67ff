import ArgumentParser
import Foundation
import Persistence
import Postgres

extension DeadLettersCommand {
    struct Purge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forget letters that were replayed or discarded long ago.",
            discussion: """
                Dead letters are never purged. Groups, the operator log and the inbox's receipts stay, so a copy of a purged \
                message that comes by still has no second effect.
                """)

        @Option(help: "Letters that were resolved longer ago than this, such as 90d.") var olderThan: Span
        @Option(help: "Why; kept in the operator log.") var reason: String?
        @Flag(help: "Only say how many there are.") var dryRun = false
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let instant = olderThan.ago()
            let count = try await Database.with("dead-letters") { pool in
                if dryRun { return try await DeadLetters.purgeable(resolvedBefore: instant, on: pool) }
                return try await DeadLetters.purge(resolvedBefore: instant, reason: reason, by: who.actor, on: pool)
            }
            if json {
                try Output.json(["letters": count])
            } else {
                print(dryRun ? "\(count) letters would be purged" : "purged \(count) letters")
            }
        }
    }
}
