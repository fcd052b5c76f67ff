import Foundation
import Settings
import Transport

/// What the broker says of one queue.
struct QueueDepth: Encodable, Sendable {
    let name: String
    /// Counts are missing in the first seconds of a queue: the broker collects them every five.
    let ready: Int?
    let unacknowledged: Int?
    let consumers: Int?
    /// Messages per second, as the broker averages them.
    let publishRate: Double
    let deliverRate: Double

    private struct Report: Decodable {
        struct Statistics: Decodable {
            struct Rate: Decodable { let rate: Double }
            let publishDetails: Rate?
            let deliverGetDetails: Rate?
        }
        let name: String
        let messagesReady: Int?
        let messagesUnacknowledged: Int?
        let consumers: Int?
        let messageStats: Statistics?
    }

    /// Every queue of a virtual host, by name.
    ///
    /// - Parameter management: the management API's URL with its credentials; they are not repeated in errors.
    static func all(management: String, virtualHost: String) async throws -> [QueueDepth] {
        guard var parts = URLComponents(string: management) else {
            throw Failure(
                .configuration, "RABBITMQ_MANAGEMENT_URL is not a URL such as http://user:password@host:15672")
        }
        let credentials = HTTPRequest.BasicAuth(user: parts.user ?? "", password: parts.password ?? "")
        parts.user = nil
        parts.password = nil
        parts.percentEncodedPath =
            "/api/queues/\(virtualHost.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? virtualHost)"
        let client = HTTPClient(name: "status")
        let response: HTTPResponse
        do {
            response = try await client.send(
                HTTPRequest(url: parts.string ?? "", timeout: .seconds(5), basicAuth: credentials))
        } catch {
            await client.close()
            throw Failure(.unavailable, "the management API does not answer: \(error)")
        }
        await client.close()
        switch response.status {
        case 200: break
        case 401, 403: throw Failure(.accessRefused, "the management API refused the user of RABBITMQ_MANAGEMENT_URL")
        case 404: throw Failure(.configuration, "the virtual host \(virtualHost) does not exist")
        default: throw Failure(.unavailable, "the management API answered \(response.status)")
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode([Report].self, from: Data(response.body)).map { report in
            QueueDepth(
                name: report.name, ready: report.messagesReady, unacknowledged: report.messagesUnacknowledged,
                consumers: report.consumers, publishRate: report.messageStats?.publishDetails?.rate ?? 0,
                deliverRate: report.messageStats?.deliverGetDetails?.rate ?? 0)
        }.sorted { $0.name < $1.name }
    }

    /// Every queue of our virtual host, or why nothing is known of them.
    static func allOrReason() async -> ([QueueDepth]?, String?) {
        do {
            guard let url = try Settings.load().optional(Keys.managementURL) else {
                return (nil, "RABBITMQ_MANAGEMENT_URL is not set")
            }
            return (try await all(management: url, virtualHost: try Broker.virtualHost()), nil)
        } catch {
            return (nil, Failure(error).message)
        }
    }
}
