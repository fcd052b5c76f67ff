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
            with counted as (
                select g.*, (
                    select count(*) from dead_letters l
                    where l.fingerprint = g.fingerprint and l.resolved_at is null
                ) as unresolved
                from dead_letter_groups g
            ), chosen as (
                select * from counted where \(includesResolved) or unresolved > 0
                order by unresolved desc, last_seen desc limit \(min(max(limit, 1), 500))
            )
            select chosen.*,
                array(
                    select coalesce(counts.letters, 0) from generate_series(11, 0, -1) as hour
                    left join (
                        select floor(extract(epoch from \(now)::timestamptz - l.died_at) / 3600) as age,
                            count(*) as letters
                        from dead_letters l
                        where l.fingerprint = chosen.fingerprint and l.died_at <= \(now)
                            and l.died_at > \(now)::timestamptz - interval '12 hours'
                        group by age
                    ) as counts on counts.age = hour
                    order by hour desc
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
