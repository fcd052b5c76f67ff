package import Foundation
import Logging
package import Messaging
import Persistence
package import Postgres

/// Runs a handler on a message to see what would come of it, and undoes everything.
///
/// The handler gets its real context in a real transaction, which is always rolled back; what it publishes goes to the
/// outbox and disappears with it, so nothing leaves the database. Only numbers taken from sequences are gone for good.
/// Locks of running workers are waited for briefly rather than in line with them.
package struct ShadowRun: Sendable {
    /// What came of it.
    package enum Ending: Hashable, Sendable {
        case succeeded
        case ignored(reason: String)
        /// The inbox has a receipt of the message.
        case handledBefore
        case failed(Failure)
        /// Nothing about the message follows from this: the database was away or busy, or refused us.
        case inconclusive(String)
    }

    private struct Undo: Error {
        let ending: Ending
    }

    private let pool: PostgresPool
    private let timeLimit: Duration

    /// - Parameter timeLimit: for the whole run; statements get as much, and locks a quarter of it.
    package init(pool: PostgresPool, timeLimit: Duration = .seconds(8)) {
        self.pool = pool
        self.timeLimit = timeLimit
    }

    /// Runs it. Never throws, and never leaves anything behind.
    ///
    /// - Parameter role: the consumer in the inbox.
    package func run(
        _ envelope: Envelope, role: String, handler: any MessageHandler, now: Date = Date()
    ) async -> Ending {
        do {
            return try await pool.withTransaction { transaction in
                let ending = await ending(of: envelope, role: role, handler: handler, in: transaction, now: now)
                // The only way out of here that commits nothing, whatever the handler did.
                throw Undo(ending: ending)
            }
        } catch let undo as Undo {
            return undo.ending
        } catch {
            return .inconclusive("the database is away: \(error)")
        }
    }

    private func ending(
        of envelope: Envelope, role: String, handler: any MessageHandler, in transaction: Transaction, now: Date
    ) async -> Ending {
        let milliseconds = Int(timeLimit / .milliseconds(1))
        let context = HandlerContext(
            transaction: transaction, now: now, worker: "shadow",
            logger: Logger(label: "shadow") { _ in
                SwiftLogNoOpLogHandler()
            })
        do {
            return try await withTimeLimit(timeLimit) {
                _ = try await transaction.pipeline([
                    "select set_config('statement_timeout', \(String(milliseconds)), true)",
                    "select set_config('lock_timeout', \(String(milliseconds / 4)), true)",
                ])
                guard try await Inbox.insert(consumer: role, messageID: envelope.id, in: transaction) else {
                    return .handledBefore
                }
                let outcome = try await handler.handle(envelope, in: context)
                // What a commit would check.
                _ = try await transaction.query("set constraints all immediate")
                return Self.ending(of: outcome)
            }
        } catch is TimeLimitExceeded {
            return .failed(Failure(code: "timeout", detail: "the handler took longer than \(timeLimit)"))
        } catch {
            return Self.ending(of: error)
        }
    }

    private static func ending(of outcome: Outcome) -> Ending {
        switch outcome {
        case .done: .succeeded
        case .ignored(let reason): .ignored(reason: reason)
        case .retry(let code, let detail, _), .deadLetter(let code, let detail):
            .failed(Failure(code: code, detail: detail))
        case .release(let reason): .inconclusive(reason)
        }
    }

    private static func ending(of error: any Error) -> Ending {
        switch (error as? PostgresError)?.sqlState?.rawValue {
        case "42501"?:
            return .inconclusive("this database user lacks the rights of the worker; see NEFF_REHEARSAL_DATABASE_URL")
        case "55P03"?: return .inconclusive("a row that it needs is in use by a running worker; try again")
        default: break
        }
        return switch FailureCause(error) {
        case .undecodable(let failure), .unstorable(let failure), .other(let failure): .failed(failure)
        case .contention: .inconclusive("it lost against a running worker; try again")
        case .databaseAway: .inconclusive("the database connection broke")
        case .cancelled: .inconclusive("it was cancelled")
        }
    }
}
