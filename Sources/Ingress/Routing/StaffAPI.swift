import Domain
import HTTPTypes
import Messaging
import Persistence

/// The staff API's handlers.
struct StaffAPI: Sendable {
    let commands: CommandGateway
    let reads: any ScheduleReads
    let operations: any OperationStore

    func createJob(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        try Self.requireJSON(request)
        _ = try IdempotencyKey.read(request.headers)
        let input = try JobInput.create(request.body)
        return try await commands.submit(
            request, by: principal, type: .createJob,
            // Such a job does not wait behind the others: its key leads to `scheduling.urgent`.
            routingKey: input.priority == .emergency ? "job.create.emergency" : nil, input: input, expectedVersion: nil
        ) { CreateJob(context: $0, request: input) }
    }

    func rescheduleJob(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let job = try Self.job(request)
        try Self.requireJSON(request)
        _ = try IdempotencyKey.read(request.headers)
        let version = try EntityTag.expectedVersion(request.headers)
        let input = try JobInput.reschedule(request.body)
        return try await commands.submit(
            request, by: principal, type: .rescheduleJob, input: input, expectedVersion: version
        ) {
            RescheduleJob(
                context: $0, job: job, startsAt: input.startsAt, durationMinutes: input.durationMinutes,
                crew: input.crew, reason: input.reason, expectedVersion: version)
        }
    }

    func cancelJob(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let job = try Self.job(request)
        if !request.body.isEmpty { try Self.requireJSON(request) }
        _ = try IdempotencyKey.read(request.headers)
        let version = try EntityTag.expectedVersion(request.headers)
        let input = try JobInput.cancel(request.body)
        return try await commands.submit(
            request, by: principal, type: .cancelJob, input: input, expectedVersion: version
        ) { CancelJob(context: $0, job: job, reason: input.reason, expectedVersion: version) }
    }

    func listJobs(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let query = try ListParameters<JobState>(request.query) { JobID(rawValue: $0) != nil }
        let filter = JobFilter(states: query.states, from: query.from, to: query.to)
        return try Self.list(await reads.jobs(filter, cursor: query.cursor, limit: query.limit))
    }

    func getJob(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        guard let job = try await reads.job(Self.job(request)) else { throw ProblemResponse(Problem.notFound("job")) }
        return try Self.one(job, version: job.version, request)
    }

    func listConsultations(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        let query = try ListParameters<ConsultationState>(request.query) { ConsultationID(rawValue: $0) != nil }
        let filter = ConsultationFilter(states: query.states, from: query.from, to: query.to)
        return try Self.list(await reads.consultations(filter, cursor: query.cursor, limit: query.limit))
    }

    func getConsultation(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        guard let id = ConsultationID(rawValue: request.pathParameter),
            let consultation = try await reads.consultation(id)
        else { throw ProblemResponse(Problem.notFound("consultation")) }
        return try Self.one(consultation, version: consultation.version, request)
    }

    func getOperation(_ request: IngressRequest, _ principal: Principal) async throws -> IngressResponse {
        guard let id = OperationID(rawValue: request.pathParameter), let operation = try await operations.find(id)
        else {
            throw ProblemResponse(Problem.notFound("operation"))
        }
        return .json(try OperationAnswer.document(operation, request: request))
    }

    private static func job(_ request: IngressRequest) throws(ProblemResponse) -> JobID {
        guard let id = JobID(rawValue: request.pathParameter) else { throw ProblemResponse(Problem.notFound("job")) }
        return id
    }

    /// - Throws: `ProblemResponse` 415 unless the body is said to be JSON.
    static func requireJSON(_ request: IngressRequest) throws(ProblemResponse) {
        let type = request.headers[.contentType]?.split(separator: ";").first?.trimming(\.isWhitespace).lowercased()
        guard type == "application/json" else {
            throw ProblemResponse(.unsupportedMediaType, "The Content-Type must be application/json.")
        }
    }

    private static func one(
        _ thing: some Encodable, version: Int, _ request: IngressRequest
    ) throws -> IngressResponse {
        let headers: HTTPFields = [.eTag: EntityTag.text(version)]
        if EntityTag.isKnown(version, to: request.headers) {
            return IngressResponse(status: .notModified, headers: headers)
        }
        return .json(try WireJSON.encode(thing), headers: headers)
    }

    private static func list(_ page: Page<some Encodable>) throws -> IngressResponse {
        var bytes = Array(#"{"items":"#.utf8)
        bytes += try WireJSON.encode(page.items)
        let cursor = page.next.map { "\"\($0.text)\"" } ?? "null"
        bytes += Array(",\"next_cursor\":\(cursor)}".utf8)
        return .json(bytes)
    }
}
