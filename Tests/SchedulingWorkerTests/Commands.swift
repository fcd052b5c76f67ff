import Domain
import Foundation
import Messaging
import Persistence
import Testing
import WorkerRuntime

/// Commands of staff, each with its pending operation, as the ingress leaves them.
extension Office {
    static let customer = Person(name: "Ann Example", email: "ann@example.com", phone: "+16145550100")
    static let site = JobRequest.Site(address: "12 Sample Road, Zanesville OH", timeZone: "America/New_York")

    func command(_ type: MessageType, _ body: (CommandContext) -> some Encodable) async throws -> (
        Envelope, OperationID
    ) {
        let operation = OperationID.make()
        let envelope = Envelope(
            id: "msg-\(operation)", type: type, timestamp: now,
            body: try WireJSON.encode(
                body(
                    CommandContext(
                        operation: operation, actor: "dispatcher", source: .staffAPI, requestID: "req-1",
                        requestedAt: now))))
        let existing = try await Operations.insertPending(
            Operation(
                id: operation, principal: "key-1", route: "POST /v1/jobs", idempotencyKey: operation.rawValue,
                requestHash: "hash", messageID: envelope.id, createdAt: now),
            in: pool)
        #expect(existing == nil)
        return (envelope, operation)
    }

    func request(
        startsAt: String?, service: String = "residential_paving", minutes: Int? = nil, crew: ResourceID? = nil,
        priority: Priority = .standard, timeZone: String = "America/New_York"
    ) throws -> JobRequest {
        JobRequest(
            customer: Self.customer, site: JobRequest.Site(address: Self.site.address, timeZone: timeZone),
            service: service, priority: priority, startsAt: try startsAt.map(instant), durationMinutes: minutes,
            crew: crew, notes: "Gate code 12")
    }

    /// How a command ended.
    struct Answer {
        var status: Int
        var body: [UInt8]

        var job: JobView {
            get throws { try WireJSON.decode(JobView.self, from: body) }
        }
        var problem: Problem {
            get throws { try WireJSON.decode(Problem.self, from: body) }
        }
    }

    func answer(to operation: OperationID) async throws -> Answer {
        let found = try #require(try await Operations.find(operation, in: pool))
        return Answer(status: try #require(found.httpStatus), body: try #require(found.outcome))
    }

    @discardableResult
    func create(_ request: JobRequest) async throws -> Answer {
        let (envelope, operation) = try await command(.createJob) { CreateJob(context: $0, request: request) }
        #expect(try await handle(envelope) == .outcome(.done))
        return try await answer(to: operation)
    }

    @discardableResult
    func reschedule(
        _ job: JobID, to start: String, minutes: Int? = nil, crew: ResourceID? = nil, version: Int? = nil
    ) async throws -> Answer {
        let startsAt = try instant(start)
        let (envelope, operation) = try await command(.rescheduleJob) {
            RescheduleJob(
                context: $0, job: job, startsAt: startsAt, durationMinutes: minutes, crew: crew, reason: "rain",
                expectedVersion: version)
        }
        #expect(try await handle(envelope) == .outcome(.done))
        return try await answer(to: operation)
    }

    @discardableResult
    func cancel(_ job: JobID, version: Int? = nil) async throws -> Answer {
        let (envelope, operation) = try await command(.cancelJob) {
            CancelJob(context: $0, job: job, reason: "sold the house", expectedVersion: version)
        }
        #expect(try await handle(envelope) == .outcome(.done))
        return try await answer(to: operation)
    }
}
