package import Foundation

/// A paper that somebody holds, such as a driving licence or a training.
package struct Certification: Codable, Hashable, Sendable {
    /// The skill that it proves.
    package var name: String
    package var number: String?
    /// Its last day, in the holder's zone; nil never ends.
    package var expiresOn: LocalDay?

    package init(name: String, number: String? = nil, expiresOn: LocalDay? = nil) {
        self.name = name
        self.number = number
        self.expiresOn = expiresOn
    }
}

/// What somebody can do, and until when.
package struct Abilities: Hashable, Sendable {
    package var skills: Set<String>
    package var certifications: [Certification]
    /// Decides when a day ends.
    package var clock: SiteClock

    package init(skills: Set<String>, certifications: [Certification], clock: SiteClock) {
        self.skills = skills
        self.certifications = certifications
        self.clock = clock
    }

    /// When a skill ends.
    package enum Span: Hashable, Sendable {
        case never
        case always
        /// With the certificate that proves it: at the end of its last day.
        case until(Date, Certification)
    }

    /// Whether they have a skill. A certificate of its name counts before a mere word: once it has expired, the skill is
    /// gone until there is a new one. Of several the last one counts.
    package func span(of skill: String) -> Span {
        let proofs = certifications.filter { $0.name == skill }
        guard !proofs.isEmpty else { return skills.contains(skill) ? .always : .never }
        var last: (end: Date, proof: Certification)?
        for proof in proofs {
            guard let day = proof.expiresOn else { return .always }
            let end = clock.instant(.midnight, on: SiteClock.day(day, plus: 1))
            if last.map({ $0.end < end }) ?? true { last = (end, proof) }
        }
        return last.map { .until($0.end, $0.proof) } ?? .always
    }
}

/// Somebody of a crew, and when they are not there.
package struct Member: Hashable, Sendable {
    package var name: String
    package var abilities: Abilities
    /// Time off, and hours out of their shifts; in order, without overlaps.
    package var away: [Interval]

    package init(name: String, abilities: Abilities, away: [Interval]) {
        self.name = name
        self.abilities = abilities
        self.away = away.merged()
    }
}

/// What a visit asks of those who lead it.
package struct Demands: Hashable, Sendable {
    package var skills: Set<String>
    /// The fewest people; nil if any crew will do.
    package var crewSize: Int?

    package init(skills: Set<String> = [], crewSize: Int? = nil) {
        self.skills = skills
        self.crewSize = crewSize
    }
}

/// Judges a crew, or somebody who goes alone, by the people who are there.
///
/// A crew without members is taken at its word: its own skills count, and nobody knows its size.
package struct Staffing: Hashable, Sendable {
    package var own: Abilities
    package var members: [Member]

    package init(own: Abilities, members: [Member] = []) {
        self.own = own
        self.members = members
    }

    /// A rule that keeps it out whatever the time is.
    package struct Objection: Hashable, Sendable {
        /// Stable, such as `skill_missing`.
        package var code: String
        /// What follows its name, such as `lacks the skill milling`.
        package var words: String
    }

    /// The first rule that keeps it out whatever the time is; nil if there is none.
    package func objection(to demands: Demands) -> Objection? {
        let missing = demands.skills.sorted().filter { skill in
            own.span(of: skill) == .never && members.allSatisfy { $0.abilities.span(of: skill) == .never }
        }
        if !missing.isEmpty {
            return Objection(
                code: "skill_missing",
                words: "lacks the skill\(missing.count == 1 ? "" : "s") \(missing.joined(separator: " and "))")
        }
        if let size = demands.crewSize, !members.isEmpty, members.count < size {
            return Objection(
                code: "crew_too_small",
                words: "has \(members.count) \(members.count == 1 ? "person" : "people"), \(size) are needed")
        }
        return nil
    }

    /// When it cannot meet the demands within `window`: certificates first, then skills, then the number of people.
    package func refusals(of demands: Demands, in window: Interval) -> [Refusal] {
        var refusals: [Refusal] = []
        for skill in demands.skills.sorted() {
            let holders = [own.holding(skill, in: window)] + members.map { $0.holding(skill, in: window) }
            let covered = holders.flatMap(\.self).merged()
            let expired = ([own] + members.map(\.abilities)).compactMap { abilities -> (Date, Certification)? in
                if case .until(let end, let proof) = abilities.span(of: skill) { (end, proof) } else { nil }
            }.max { $0.0 < $1.0 }
            for gap in covered.gaps(in: window) {
                let reason =
                    if let expired, expired.0 <= gap.start { Self.expiry(of: expired.1) } else {
                        "has nobody there with the skill \(skill)"
                    }
                refusals.append(Refusal(during: gap, reason: reason))
            }
        }
        if let size = demands.crewSize, !members.isEmpty {
            refusals += shortages(size, in: window)
        }
        return refusals
    }

    private static func expiry(of proof: Certification) -> String {
        let number = proof.number.map { " \($0)" } ?? ""
        let day = proof.expiresOn.map { " on \($0)" } ?? ""
        return "has no valid certificate for \(proof.name): the last one\(number) expired\(day)"
    }

    /// When fewer people are there than are needed.
    private func shortages(_ size: Int, in window: Interval) -> [Refusal] {
        let edges = Set(members.flatMap { $0.away.flatMap { [$0.start, $0.end] } } + [window.start, window.end])
            .filter { window.start <= $0 && $0 <= window.end }.sorted()
        return zip(edges, edges.dropFirst()).compactMap { start, end in
            let stretch = Interval(start: start, end: end)
            let present = members.count { member in !member.away.contains { $0.overlaps(stretch) } }
            guard present < size else { return nil }
            return Refusal(
                during: stretch,
                reason: "has \(present) of \(members.count) people there, \(size) are needed")
        }
    }
}

extension Abilities {
    /// The stretch of `window` in which they have a skill: one or none.
    fileprivate func holding(_ skill: String, in window: Interval) -> [Interval] {
        switch span(of: skill) {
        case .never: []
        case .always: [window]
        case .until(let end, _): end > window.start ? [Interval(start: window.start, end: min(end, window.end))] : []
        }
    }
}

extension Member {
    /// When somebody with the skill is there.
    fileprivate func holding(_ skill: String, in window: Interval) -> [Interval] {
        abilities.holding(skill, in: window).flatMap { away.gaps(in: $0) }
    }
}
