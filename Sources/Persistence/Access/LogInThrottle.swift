import Crypto
package import Foundation
import Messaging
package import Postgres

/// Slows down those who try passwords: by account, wherever they come from, and by address, whomever they try.
///
/// Some failures are free, because people mistype; after that each doubles the wait, up to a quarter of an hour. An attempt
/// counts as failed from its beginning until it has succeeded, so that many at once gain nothing. Nobody is locked out for
/// good: at the longest wait an account takes about a hundred attempts a day, which is what SP 800-63B-4 section 3.2.2
/// allows in a row.
package enum LogInThrottle {
    /// Whose attempts are counted.
    package enum Subject: Hashable, Sendable {
        case account(email: String)
        /// IPv6 addresses count by their first 64 bits, of which one customer of a provider has all.
        case address(String)

        var kind: String {
            switch self {
            case .account: "account"
            case .address: "address"
            }
        }

        /// What is stored.
        var text: String {
            switch self {
            case .account(let email): MessageID.hex(SHA256.hash(data: Array(email.lowercased().utf8)))
            case .address(let address): address
            }
        }

        package var rules: Rules {
            switch self {
            case .account: Rules(free: 5, base: 1, cap: 900, memory: 86_400)
            // Five a minute, and less and less.
            case .address: Rules(free: 5, base: 12, cap: 900, memory: 3_600)
            }
        }
    }

    /// How the waits grow; all in seconds.
    package struct Rules: Hashable, Sendable {
        /// Failures that cost nothing.
        package var free: Int
        /// The first wait.
        package var base: TimeInterval
        package var cap: TimeInterval
        /// Without another attempt for so long, failures are forgotten.
        package var memory: TimeInterval

        /// How long nothing is tried after so many failures.
        package func wait(after failures: Int) -> TimeInterval {
            failures <= free ? 0 : min(cap, base * pow(2, Double(min(failures - free - 1, 30))))
        }
    }

    /// Whether an attempt may be made.
    package enum Admission: Hashable, Sendable {
        case admitted
        case blocked(until: Date)
    }

    /// Counts an attempt for all subjects, or for none if one of them has to wait.
    ///
    /// - Throws: `PostgresError`.
    package static func admit(
        _ subjects: [Subject], at now: Date = Date(), on pool: PostgresPool
    ) async throws -> Admission {
        // One order for all, so that no two wait for each other.
        let subjects = Set(subjects).sorted { ($0.kind, $0.text) < ($1.kind, $1.text) }
        return try await pool.withTransaction { transaction in
            var counts: [(subject: Subject, failures: Int)] = []
            var end = now
            for subject in subjects {
                _ = try await transaction.query(
                    """
                    insert into login_throttles (kind, subject, failures, last_at)
                    values (\(subject.kind), \(subject.text), 0, \(now)) on conflict do nothing
                    """)
                let row = try await transaction.query(
                    """
                    select failures, last_at, blocked_until from login_throttles
                    where kind = \(subject.kind) and subject = \(subject.text) for update
                    """
                ).first
                // Missing if somebody has succeeded or tidied up in between.
                guard let row else { continue }
                end = max(end, try row.decode("blocked_until", as: Date?.self) ?? now)
                let last = try row.decode("last_at", as: Date.self)
                let isForgotten = now.timeIntervalSince(last) > subject.rules.memory
                counts.append((subject, isForgotten ? 0 : try row.decode("failures")))
            }
            if end > now { return .blocked(until: end) }
            for (subject, failures) in counts {
                let wait = subject.rules.wait(after: failures + 1)
                // Not the present where there is no wait: the database rounds instants, also to a later one.
                let until = wait > 0 ? now.addingTimeInterval(wait) : nil
                _ = try await transaction.query(
                    """
                    update login_throttles set failures = \(failures + 1), last_at = \(now), blocked_until = \(until)
                    where kind = \(subject.kind) and subject = \(subject.text)
                    """)
            }
            _ = try await transaction.query(
                """
                delete from login_throttles where ctid = any(array(
                    select ctid from login_throttles where last_at < \(now.addingTimeInterval(-86_400)) limit 100
                    for update skip locked))
                """)
            return .admitted
        }
    }

    /// Takes back what an attempt was counted for, because it succeeded or was not made after all.
    ///
    /// - Throws: `PostgresError`.
    package static func refund(_ subjects: [Subject], on pool: PostgresPool) async throws {
        for subject in subjects {
            _ = try await pool.query(
                """
                update login_throttles set failures = greatest(failures - 1, 0), blocked_until = null
                where kind = \(subject.kind) and subject = \(subject.text)
                """)
        }
    }

    /// Forgets all attempts.
    static func forgive(_ subject: Subject, in transaction: Transaction) async throws {
        _ = try await transaction.query(
            "delete from login_throttles where kind = \(subject.kind) and subject = \(subject.text)")
    }
}
