import Domain
import Foundation
import Messaging
import NotificationWorker
import Persistence
import Postgres
import TestSupport
import Testing
import WorkerRuntime

@Suite(.timeLimit(.minutes(2))) struct PlanningTests {
    @Test func anEventBecomesOneRowAndOneMessageForEachPerson() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let event = try Sample.envelope(.jobScheduled, Sample.jobEvent())
            #expect(try await process.handle(event) == .done)
            let rows = try await desk.notifications()
            let messages = try await desk.outbox()
            #expect(rows.map(\.status) == ["planned", "planned"])
            #expect(messages.map(\.type) == [.sendNotification, .sendNotification])
            for (row, message) in zip(
                rows.sorted { $0.id < $1.id }, messages.sorted { $0.body.lexicographicallyPrecedes($1.body) })
            {
                #expect(message.correlationID == event.correlationID && message.causationID == event.id)
                #expect(message.receivedAt == event.receivedAt)
                #expect(String(decoding: message.body, as: UTF8.self) == #"{"notification":"\#(row.id)"}"#)
                #expect(row.mailID == "\(row.id.rawValue.lowercased())@neff.example")
            }
            #expect(try await desk.isInInbox(event))
            #expect(desk.mail.connectionCount == 0)
        }
    }

    @Test func aSecondDeliveryPlansNothing() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            let event = try Sample.envelope(.jobScheduled, Sample.jobEvent())
            _ = try await process.handle(event)
            #expect(try await process.handle(event) == .ignored(reason: "planned before"))
            #expect(try await desk.notifications().count == 2)
            #expect(try await desk.outbox().count == 2)
        }
    }

    /// The same news under another message id, as after a replay of what led to it.
    @Test func theSameOccasionUnderAnotherMessagePlansNothing() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            for _ in 0..<3 {
                _ = try await process.handle(Sample.envelope(.jobScheduled, Sample.jobEvent()))
            }
            #expect(try await desk.notifications().count == 2)
            #expect(try await desk.outbox().count == 2)
        }
    }

    @Test func manyWorkersAtOncePlanOnce() async throws {
        try await Desk.open { desk in
            let processes = try (0..<4).map { _ in try desk.process() }
            let event = try Sample.envelope(.jobScheduled, Sample.jobEvent())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<16 {
                    group.addTask {
                        // Half of them have the same message, the others the same news.
                        let message = try index % 2 == 0 ? event : Sample.envelope(.jobScheduled, Sample.jobEvent())
                        _ = try await processes[index % 4].handle(message)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await desk.notifications().count == 2)
            #expect(try await desk.outbox().count == 2)
        }
    }

    @Test func newsForNobodyIsHandledAllTheSame() async throws {
        try await Desk.open { desk in
            let event = try Sample.envelope(.consultationNoShowMarked, Sample.consultationEvent())
            let outcome = try await desk.process().handle(event)
            #expect(outcome == .ignored(reason: "nobody is told of consultation.no_show_marked"))
            #expect(try await desk.isInInbox(event))
        }
    }

    @Test func aBodyThatDoesNotDecodePlansNothing() async throws {
        try await Desk.open { desk in
            let process = try desk.process()
            await #expect(throws: DecodingError.self) {
                try await process.handle(Sample.envelope(.jobScheduled, ["no": "job"]))
            }
            #expect(try await desk.notifications().isEmpty)
        }
    }

    /// The runtime and this worker share one role's rights; nothing here needs more, and no more is given.
    @Test func theRoleCannotReachOtherTables() async throws {
        try await Desk.open { desk in
            for table: SQL in ["consultations", "jobs", "change_log", "operations", "api_keys", "dead_letters"] {
                let error = await #expect(throws: PostgresError.self) {
                    try await desk.workerPool.query("select 1 from \(table)")
                }
                #expect(error?.sqlState == .insufficientPrivilege)
            }
            let error = await #expect(throws: PostgresError.self) {
                try await desk.workerPool.query("delete from notifications")
            }
            #expect(error?.sqlState == .insufficientPrivilege)
        }
    }
}
