import Domain
import Foundation
import HTTPTypes
import Messaging
import Persistence
import Postgres

/// The API's part that changes what people configure. It writes to the database itself: there is nothing to queue, so an
/// answer is an outcome, and the broker may be away.
///
/// What follows holds for every kind of thing; `ConfigurationAPI+Routes.swift` says which there are, and which fields.
struct ConfigurationAPI: Sendable {
    typealias Handler = @Sendable (IngressRequest, Principal) async throws -> IngressResponse

    let store: any ConfigurationStore

    /// What a new thing gets from its request beside its fields.
    struct Birth {
        /// The same for the same request: an id follows from it.
        var digest: [UInt8]
        var at: Date
    }

    /// `POST`: adds one, once for each idempotency key.
    ///
    /// - Parameters:
    ///   - path: of the collection.
    ///   - read: makes the record from the fields; nil if they will not do.
    ///   - add: how it comes into the table.
    func create<Table: ConfigurationTable, Input: Sendable>(
        _ table: Table, at path: String, read: @escaping @Sendable (inout ObjectReader, Birth) -> Input?,
        add: @escaping @Sendable (Table, Input, ChangeNote, Transaction) async throws -> Table.Record
    ) -> Handler {
        { request, principal in
            let asked = try ConfigurationRequest(request, principal)
            if request.body.isEmpty { try StaffAPI.requireJSON(request) }
            let operation = try asked.operation()
            let birth = Birth(
                digest: MessageID.digest(["configuration", operation.id.rawValue]), at: request.receivedAt)
            let (input, note) = try asked.fields { read(&$0, birth) }
            let outcome = try await store.write(isKept: !asked.isDryRun) { transaction -> Outcome<Table.Record> in
                if let earlier = try await Operations.claim(operation.id, in: transaction) { return .earlier(earlier) }
                let record = try await add(table, input, note, transaction)
                try await Operations.insertFinished(
                    operation,
                    with: try OperationResult(httpStatus: 201, value: record, subjectID: record.key),
                    at: request.receivedAt, in: transaction)
                return .new(record)
            }
            switch outcome {
            case .new(let record):
                var response = try Self.answer(record, status: .created)
                response.headers[.location] = "\(path)/\(record.key)"
                return asked.marked(response)
            case .earlier(let earlier):
                return try Self.replay(earlier, of: operation, path: path)
            }
        }
    }

    /// `POST` for things that come into their table like any other.
    func create<Table: ConfigurationTable>(
        _ table: Table, at path: String, read: @escaping @Sendable (inout ObjectReader, Birth) -> Table.Record?
    ) -> Handler {
        create(table, at: path, read: read) { table, record, note, transaction in
            try await table.create(record, note, in: transaction)
        }
    }

    /// `GET` of one.
    func get<Table: ConfigurationTable>(_ table: Table, key: String? = nil) -> Handler {
        { request, _ in
            let key = key ?? request.pathParameter
            let found = try await store.read { try await table.find(key, isLocked: false, in: $0) }
            guard let record = found else { throw ProblemResponse(Problem.notFound(table.noun)) }
            if EntityTag.isKnown(record.version, to: request.headers) {
                return IngressResponse(
                    status: .notModified, headers: [.eTag: EntityTag.text(record.version)])
            }
            return try Self.answer(record)
        }
    }

    /// `PATCH` and `PUT`: changes the fields that are given.
    func change<Table: ConfigurationTable>(
        _ table: Table, key: String? = nil, fill: @escaping @Sendable (inout ObjectReader, inout Table.Record) -> Void
    ) -> Handler {
        { request, principal in
            let key = key ?? request.pathParameter
            let asked = try ConfigurationRequest(request, principal)
            if request.body.isEmpty { try StaffAPI.requireJSON(request) }
            let expected = try EntityTag.requiredVersion(request.headers)
            let record = try await store.write(isKept: !asked.isDryRun) { transaction in
                // The fields are read into the record as it is now: what is left out stays.
                let current = try await table.current(key, expected: expected, in: transaction)
                let (changed, note) = try asked.fields { reader -> Table.Record? in
                    var record = current
                    fill(&reader, &record)
                    return record
                }
                return try await table.change(key, expected: nil, note, in: transaction) { $0 = changed }
            }
            return asked.marked(try Self.answer(record))
        }
    }

    /// `DELETE`: ends one in its own way, such as by making it inactive.
    func end<Table: ConfigurationTable>(
        _ table: Table,
        how: @escaping @Sendable (Table, String, Int?, ChangeNote, Transaction) async throws -> Table.Record
    ) -> Handler {
        { request, principal in
            let asked = try ConfigurationRequest(request, principal)
            let expected = try EntityTag.requiredVersion(request.headers)
            let (_, note) = try asked.fields { _ in true }
            let record = try await store.write(isKept: !asked.isDryRun) { transaction in
                try await how(table, request.pathParameter, expected, note, transaction)
            }
            return asked.marked(try Self.answer(record))
        }
    }

    /// `GET` of a page.
    func list<Filter: Sendable, Item: Encodable & Sendable>(
        _ names: Set<String>, filter: @escaping @Sendable (inout QueryParameters) -> Filter,
        page: @escaping @Sendable (Filter, KeyCursor?, Int, Transaction) async throws -> KeyPage<Item>
    ) -> Handler {
        { request, _ in
            var query = QueryParameters(request.query, names: names.union(["cursor", "limit"]))
            let limit = query.limit(1...200, default: 50)
            let cursor = query.cursor(KeyCursor.init(text:))
            let filter = filter(&query)
            try query.finish()
            let found = try await store.read { try await page(filter, cursor, limit, $0) }
            return try Self.list(found.items, next: found.next?.text, request)
        }
    }

    // MARK: - Answers

    private enum Outcome<Record: Sendable>: Sendable {
        case new(Record)
        case earlier(Persistence.Operation)
    }

    private static func replay(_ earlier: Persistence.Operation, of new: Persistence.Operation, path: String) throws
        -> IngressResponse
    {
        guard earlier.requestHash == new.requestHash, let outcome = earlier.outcome else {
            throw ProblemResponse(.idempotencyKeyReused, "The key was used for another request to \(path).")
        }
        var headers: HTTPFields = [.idempotentReplayed: "true"]
        if let subject = earlier.subjectID { headers[.location] = "\(path)/\(subject)" }
        // The version that it had then.
        if let version = try? WireJSON.decode(Versioned.self, from: outcome).version {
            headers[.eTag] = EntityTag.text(version)
        }
        return .json(outcome, status: .created, headers: headers)
    }

    private struct Versioned: Decodable {
        var version: Int
    }

    private static func answer(
        _ record: some ConfigurationRecord, status: HTTPResponse.Status = .ok
    ) throws -> IngressResponse {
        .json(try WireJSON.encode(record), status: status, headers: [.eTag: EntityTag.text(record.version)])
    }

    /// A page, with a link to the next one (RFC 8288).
    static func list(_ items: [some Encodable], next: String?, _ request: IngressRequest) throws -> IngressResponse {
        var headers: HTTPFields = [:]
        if let next {
            let rest = (request.query ?? "").split(separator: "&").filter { !$0.hasPrefix("cursor=") }
            let query = (rest + ["cursor=\(next)"]).joined(separator: "&")
            headers[.link] = "<\(request.path)?\(query)>; rel=\"next\""
        }
        let cursor = next.map { "\"\($0)\"" } ?? "null"
        return .json(
            Array(#"{"items":"#.utf8) + (try WireJSON.encode(items)) + Array(",\"next_cursor\":\(cursor)}".utf8),
            headers: headers)
    }
}
