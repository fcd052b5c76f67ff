package import Foundation
package import Postgres

extension DeadLetters {
    /// Groups of alike letters, those with the most unresolved letters first.
    ///
    /// - Parameters:
    ///   - includesResolved: also groups all of whose letters were dealt with.
    ///   - limit: 1 to 500.
    /// - Throws: `PostgresError`.
    package static func groups(
        includesResolved: Bool = false, limit: Int = 50, now: Date = Date(), on pool: PostgresPool
    ) async throws -> [LetterGroup] {
        try await pool.query(
            """
            with unresolved as (
                select fingerprint, count(*) as letters from dead_letters where resolved_at is null group by fingerprint
            ), chosen as (
                select g.*, coalesce(u.letters, 0) as unresolved
                from dead_letter_groups g left join unresolved u on u.fingerprint = g.fingerprint
                where \(includesResolved) or u.letters > 0
                order by unresolved desc, last_seen desc limit \(min(max(limit, 1), 500))
            ), recent as (
                select fingerprint, 11 - floor(extract(epoch from \(now)::timestamptz - died_at) / 3600)::int as hour,
                    count(*) as letters
                from dead_letters
                where died_at <= \(now) and died_at > \(now)::timestamptz - interval '12 hours'
                group by fingerprint, hour
            )
            select chosen.*,
                array(
                    select coalesce(recent.letters, 0) from generate_series(0, 11) as hours
                    left join recent on recent.fingerprint = chosen.fingerprint and recent.hour = hours
                    order by hours
                ) as hourly,
                (
                    select w.version from workers w
                    where w.role = split_part(chosen.handler, '/', 1) and w.version is distinct from chosen.build
                    group by w.version
                    having min(w.started_at) >
                        (select max(k.last_seen) from dead_letter_groups k where k.cause = chosen.cause)
                    order by min(w.started_at) limit 1
                ) as none_since_build
            from chosen order by unresolved desc, last_seen desc
            """
        ).map(LetterGroup.init)
    }
}
