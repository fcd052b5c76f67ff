package import Domain
package import Foundation
import Messaging
package import Transport

/// The staff API as a client sees it.
package struct Front: Sendable {
    package struct Party: Codable, Sendable {
        package let name: String
        package let email: String?
    }

    package struct Reference: Codable, Sendable {
        package let id: String
        package let name: String
    }

    package struct Consultation: Codable, Sendable {
        package let id: String
        package let kind: String
        package let state: String
        package let customer: Party
        package let startsAt: Date
        package let assignment: String
        package let assignee: Reference?
        package let reasons: [String]?
        package let alternatives: [Alternative]?
    }

    package struct Job: Codable, Sendable {
        package let id: String
        package let number: String
        package let state: String
        package let customer: Party
        package let startsAt: Date
        package let crew: Reference?
    }

    private struct Page<Item: Codable & Sendable>: Codable, Sendable {
        let items: [Item]
        let nextCursor: String?
    }

    private let target: Day.Target
    private let http: HTTPClient

    package init(target: Day.Target, http: HTTPClient) {
        self.target = target
        self.http = http
    }

    package func consultations() async throws -> [Consultation] {
        try await all("/v1/consultations")
    }

    package func jobs() async throws -> [Job] {
        try await all("/v1/jobs")
    }

    func post(_ path: String, key: String, _ body: JSONValue) async throws -> HTTPResponse {
        try await http.send(
            HTTPRequest(
                method: "POST", url: target.ingress + path,
                headers: [
                    "Authorization": "Bearer \(target.apiKey)", "Content-Type": "application/json",
                    "Idempotency-Key": key.replacingOccurrences(of: " ", with: "-"), "Prefer": "wait=10",
                ], body: Array(JSONEncoder().encode(body)), caFile: target.caFile))
    }

    private func all<Item: Codable & Sendable>(_ path: String) async throws -> [Item] {
        var items: [Item] = []
        var cursor: String?
        repeat {
            let query = cursor.map { "&cursor=\($0)" } ?? ""
            let response = try await http.send(
                HTTPRequest(
                    url: "\(target.ingress)\(path)?limit=200\(query)",
                    headers: ["Authorization": "Bearer \(target.apiKey)"], caFile: target.caFile))
            guard response.status == 200 else { throw UnexpectedAnswer(path: path, status: response.status) }
            let page = try WireJSON.decode(Page<Item>.self, from: response.body)
            items += page.items
            cursor = page.nextCursor
        } while cursor != nil
        return items
    }
}

/// The front door answered something that the day cannot go on with.
package struct UnexpectedAnswer: Error, CustomStringConvertible {
    package let path: String
    package let status: Int

    package var description: String { "GET \(path) was answered \(status)" }
}
