import Domain
import Foundation
import Messaging

/// The bodies that the API takes, read and checked.
enum JobInput {
    /// Work time of a job, in minutes; the database has the same bounds for a service type's default.
    static let duration = 15...1_440

    /// What a reschedule asks for, before it is known who asks.
    struct Reschedule: Hashable, Sendable, Encodable {
        var startsAt: Date
        var durationMinutes: Int?
        var crew: ResourceID?
        var reason: String?
    }

    struct Cancel: Hashable, Sendable, Encodable {
        var reason: String?
    }

    static func create(_ body: [UInt8]) throws -> JobRequest {
        try read(body) { reader in
            let customer = reader.object("customer", .required) { reader -> Person? in
                let name = reader.string("name", .required, length: 200)
                let email = reader.string("email", length: 254, check: TextRules.email)
                let phone = reader.string("phone", length: 32, check: TextRules.phone)
                return name.map { Person(name: $0, email: email, phone: phone) }
            }
            let site = reader.object("site", .required) { reader -> JobRequest.Site? in
                let address = reader.string("address", .required, length: 500)
                let zone = reader.string("time_zone", .required, length: 64, check: TextRules.timeZone)
                guard let address, let zone else { return nil }
                return JobRequest.Site(address: address, timeZone: zone)
            }
            let service = reader.string("service", .required, length: 64, check: TextRules.code)
            let priority = reader.choice("priority", as: Priority.self)
            let startsAt = reader.instant("starts_at")
            let minutes = reader.integer("duration_minutes", in: duration)
            let crew = reader.resource("crew")
            let notes = reader.string("notes", length: 4_000, multiline: true)
            guard let customer, let site, let service else { return nil }
            return JobRequest(
                customer: customer, site: site, service: service, priority: priority ?? .standard, startsAt: startsAt,
                durationMinutes: minutes, crew: crew, notes: notes)
        }
    }

    static func reschedule(_ body: [UInt8]) throws -> Reschedule {
        try read(body) { reader in
            let startsAt = reader.instant("starts_at", .required)
            let minutes = reader.integer("duration_minutes", in: duration)
            let crew = reader.resource("crew")
            let reason = reader.string("reason", length: 1_000, multiline: true)
            return startsAt.map {
                Reschedule(startsAt: $0, durationMinutes: minutes, crew: crew, reason: reason)
            }
        }
    }

    /// An empty body is a cancellation without a reason.
    static func cancel(_ body: [UInt8]) throws -> Cancel {
        if body.isEmpty { return Cancel() }
        return try read(body) { reader in
            Cancel(reason: reader.string("reason", length: 1_000, multiline: true))
        }
    }

    /// More faults are not listed: a body full of unknown fields would be answered with many times its size.
    private static let maxFaults = 100

    /// - Throws: `ProblemResponse`: 400 if the body is not JSON, 422 with every fault if a field is invalid.
    static func read<Value>(_ body: [UInt8], _ read: (inout ObjectReader) -> Value?) throws -> Value {
        try Self.read(members(body), read)
    }

    /// The fields of a body.
    ///
    /// - Throws: `ProblemResponse`: 400 if the body is not JSON, 422 if it is no object.
    static func members(_ body: [UInt8]) throws -> [String: JSONValue] {
        let value: JSONValue
        do throws(JSONParser.Failure) {
            value = try JSONParser.parse(body)
        } catch {
            throw ProblemResponse(.malformedRequest, "The body is not JSON: \(error.reason), at byte \(error.offset).")
        }
        guard case .object(let members) = value else {
            throw ProblemResponse(
                Problem.validation([
                    Problem.FieldError(pointer: "", code: "type", detail: "must be an object, not \(value.kind)")
                ]))
        }
        return members
    }

    /// - Throws: `ProblemResponse` 422 with every fault if a field is invalid.
    static func read<Value>(
        _ members: [String: JSONValue], _ read: (inout ObjectReader) -> Value?
    ) throws -> Value {
        var reader = ObjectReader(members)
        let result = read(&reader)
        let errors = reader.finish()
        guard errors.isEmpty, let result else {
            throw ProblemResponse(Problem.validation(Array(errors.prefix(maxFaults))))
        }
        return result
    }
}
