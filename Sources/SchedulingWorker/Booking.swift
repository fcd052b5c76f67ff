import Domain
import Foundation
import Persistence
import Postgres
import Scheduling

/// Takes resources for a visit: chooses, locks, looks again, inserts; and lets the constraint have the last word.
struct Booking: Sendable {
    let transaction: Transaction
    let requirements: Requirements
    let footprint: Footprint
    /// Who goes first, the lowest number first.
    let preferences: [ResourceID: Int]
    let clock: SiteClock

    /// What came of it.
    enum Outcome: Sendable {
        case booked(SlotFinder.Slot)
        /// Nobody is free, or nothing: the picture that shows it.
        case taken(Roster)
    }

    /// Takes the best free resources at `start`, and releases what the subject held before in the same step.
    ///
    /// Others may take what was chosen before the locks are had; then it chooses again from a new picture. Each such
    /// round takes somebody out of the running, so their number is bounded by the number of candidates.
    func book(at start: Date) async throws -> Outcome {
        let occupied = footprint.occupied(from: start)
        return try await attempts {
            let roster = try await roster(window: occupied, around: start)
            guard let selection = roster.groups.selection(in: occupied) else { return .taken(roster) }
            try await transaction.savepoint { savepoint in
                try await lock(selection, occupied: occupied, in: savepoint)
                try await take(selection, occupied: occupied, in: savepoint)
            }
            return .booked(SlotFinder.Slot(work: footprint.work(from: start), selection: selection))
        }
    }

    /// Takes the first free time in `window`.
    ///
    /// All candidates are locked before the search: many such requests at once would otherwise all find the same time,
    /// and all but one would have searched in vain.
    func bookFirst(in window: Interval, finder: SlotFinder) async throws -> Outcome {
        try await attempts {
            try await transaction.savepoint { savepoint in
                let picture = try await roster(window: window, around: window.start, in: savepoint)
                _ = try await Resources.lock(picture.memberIDs, in: savepoint)
                let roster = try await roster(window: window, around: window.start, in: savepoint)
                guard let slot = finder.slots(startingIn: window, groups: roster.groups, limit: 1).first else {
                    return .taken(roster)
                }
                try await take(slot.selection, occupied: footprint.occupied(from: slot.work.start), in: savepoint)
                return .booked(slot)
            }
        }
    }

    /// The picture of who is free in `window`.
    func roster(window: Interval, around start: Date, in transaction: Transaction? = nil) async throws -> Roster {
        try await Roster.load(
            requirements, footprint: footprint, window: window, week: clock.week(of: start), preferences: preferences,
            in: transaction ?? self.transaction)
    }

    /// Something was free in the picture and is taken in fact. Whoever took it has committed, so a new picture shows it:
    /// the runtime's transactions are read committed.
    private struct Lost: Error {}

    private func attempts(_ attempt: () async throws -> Outcome) async throws -> Outcome {
        for _ in 0..<200 {
            do {
                return try await attempt()
            } catch is Lost {
                continue
            }
        }
        // Resources that are released and taken again all the time could keep it here; it comes back later.
        throw PostgresError(
            .server, "candidates were taken by others 200 times over", sqlState: .serializationFailure)
    }

    /// Waits for other schedulers that deal with the chosen ones, and looks whether they are still free.
    private func lock(_ selection: Selection, occupied: Interval, in savepoint: Transaction) async throws {
        let ids = selection.members.map(\.assignee.id)
        let active = try await Resources.lock(ids, in: savepoint)
        let busy = try await Allocations.busy(ids, in: occupied, except: requirements.subject, in: savepoint)
        if active.count < ids.count || !busy.isEmpty { throw Lost() }
    }

    private func take(_ selection: Selection, occupied: Interval, in savepoint: Transaction) async throws {
        try await Allocations.release(requirements.subject, in: savepoint)
        for id in selection.members.map(\.assignee.id).sorted() {
            do {
                try await Allocations.insert(id, during: occupied, for: requirements.subject, in: savepoint)
            } catch let error as PostgresError where error.isOverlap {
                // Somebody who does not lock was faster. The constraint waited for them to commit.
                throw Lost()
            }
        }
    }
}
