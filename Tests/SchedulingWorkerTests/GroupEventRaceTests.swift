import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

/// The same events in several workers at once.
@Suite(.timeLimit(.minutes(3))) struct GroupEventRaceTests {
    private let tuesday = "2027-03-16T13:00:00Z"
    private let wednesday = "2027-03-17T13:00:00Z"

    @Test func manyInviteesAtOnceGetOneEstimator() async throws {
        try await Office.open(poolSize: 12) { office in
            for name in ["Alex", "Blair", "Casey"] { try await office.add(.estimator, name) }
            let ids = try await office.invitees(24, on: tuesday)
            let group = office.group()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for id in ids {
                    let event = try group.event(.consultationBooked, id, sequence: 1, start: tuesday)
                    tasks.addTask { try await office.handle(event) }
                }
                try await tasks.waitForAll()
            }
            #expect(try await office.allocations().count == 1)
            #expect(try await office.count("select count(distinct assignee) from consultations") == 1)
            #expect(try await office.disagreements() == 0)
            #expect(office.retries.count(.deadlockDetected) == 0)
            // Each was told how many were there before it.
            #expect(try await office.assigned().map(\.companions) == Array(0..<24))
        }
    }

    /// The last invitee leaves while another one comes: whoever is first, the event has its estimator in the end.
    @Test func aCancellationAndABookingAtOnceLeaveTheEventItsEstimator() async throws {
        try await Office.open(poolSize: 8) { office in
            for name in ["Alex", "Blair"] { try await office.add(.estimator, name) }
            for run in 0..<30 {
                let ids = try await office.invitees(2, on: tuesday)
                let group = office.group("run-\(run)")
                try await office.handle(try group.event(.consultationBooked, ids[0], sequence: 1, start: tuesday))
                let leaving = try group.event(.consultationCanceled, ids[0], sequence: 2, start: tuesday)
                let coming = try group.event(.consultationBooked, ids[1], sequence: 1, start: tuesday)
                async let left: Office.Handled = office.handle(leaving)
                async let came: Office.Handled = office.handle(coming)
                #expect(try await [left, came] == [.outcome(.done), .outcome(.done)])
                #expect(try await office.allocations().map(\.subject) == [group.uri])
                #expect(try await office.consultation(ids[0]).assignment == .released)
                #expect(try await office.consultation(ids[1]).assignment == .assigned)
                #expect(try await office.disagreements() == 0)
                try await office.handle(try group.event(.consultationCanceled, ids[1], sequence: 2, start: tuesday))
            }
            #expect(office.retries.count(.deadlockDetected) == 0)
        }
    }

    /// Two messages of one consultation at once: the one that waited looks again which appointment it has.
    @Test func aBookingAndAMoveOfOneConsultationAtOnceHoldOneTime() async throws {
        try await Office.open(poolSize: 8) { office in
            try await office.add(.estimator, "Alex")
            for run in 0..<30 {
                let id = try await office.addConsultation(tuesday)
                let (old, new) = (office.group("old-\(run)"), office.group("new-\(run)"))
                let booked = try old.event(.consultationBooked, id, sequence: 1, start: tuesday)
                let moved = try new.event(
                    .consultationRescheduled, id, sequence: 2, start: wednesday, previous: tuesday, asOf: 60)
                async let first: Office.Handled = office.handle(booked)
                async let second: Office.Handled = office.handle(moved)
                _ = try await [first, second]
                #expect(try await office.allocations().map(\.subject) == [new.uri])
                #expect(try await office.disagreements() == 0)
                try await office.handle(try new.event(.consultationCanceled, id, sequence: 3, start: wednesday))
            }
        }
    }

    /// Invitees go back and forth between events that move themselves, all at once.
    @Test(arguments: [UInt64(1), 2, 3]) func everythingAtOnceLeavesRowsThatAgree(seed: UInt64) async throws {
        try await Office.open(poolSize: 12) { office in
            for name in ["Alex", "Blair"] { try await office.add(.estimator, name) }
            let ids = try await office.invitees(16, on: tuesday)
            let starts = (16...18).map { "2027-03-\($0)T13:00:00Z" }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for (number, id) in ids.enumerated() {
                    tasks.addTask {
                        for step in 0..<6 {
                            let name = (number + step * Int(seed)) % 3
                            let isLast = step == 5 && number.isMultiple(of: 4)
                            // What an event's time is depends on what was said last of it.
                            let start = starts[(name + step / 2) % 3]
                            let type: MessageType =
                                isLast
                                ? .consultationCanceled : step == 0 ? .consultationBooked : .consultationRescheduled
                            try await office.handle(
                                try office.group("\(name)").event(
                                    type, id, sequence: step + 1, start: start, asOf: Double(step / 2 * 60)))
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            #expect(try await office.overlaps() == 0)
            #expect(try await office.disagreements() == 0)
            #expect(try await office.allocations().count <= 3)
            #expect(office.retries.count(.deadlockDetected) == 0)
            #expect(try await office.count("select count(*) from consultations where assignment = 'pending'") == 0)
        }
    }
}
