import Domain
import Foundation
import Messaging
import Postgres

/// Letters in files: one JSON object for each, on a line of its own. What is read back is what was written, byte for byte
/// in the body and value for value everywhere else.
extension DeadLetter {
    /// The letter as a line, without the line feed.
    package func jsonLine() throws -> [UInt8] {
        func text(_ value: String?) -> JSONValue { value.map(JSONValue.string) ?? .null }
        func time(_ value: Date?) -> JSONValue { value.map { .string(Microseconds.text($0)) } ?? .null }
        func document(_ text: String) -> JSONValue { (try? JSONParser.parse(Array(text.utf8))) ?? .string(text) }
        return JSONValue.object([
            "format": .number("1"), "id": .string(id.rawValue), "death_key": .string(deathKey), "queue": .string(queue),
            "message_id": .string(messageID), "type": .string(type), "exchange": .string(exchange),
            "routing_key": .string(routingKey), "correlation_id": text(correlationID),
            "properties": document(propertiesJSON), "headers": document(headersJSON),
            "body_base64": .string(Data(body).base64EncodedString()), "reason": .string(reason),
            "error_code": text(errorCode), "error_text": text(errorText),
            "attempts": try JSONParser.parse(WireJSON.encode(attempts)),
            "attempt_count": .number(String(attemptCount)), "replay_count": .number(String(replayCount)),
            "died_at": time(diedAt), "status": .string(status.rawValue), "resolved_at": time(resolvedAt),
            "resolved_by": text(resolvedBy), "resolution_reason": text(resolutionReason),
            "original_exchange": text(originalExchange), "original_routing_key": text(originalRoutingKey),
            "handler": text(handler), "build": text(build), "patch": patch?.json ?? .null,
            "patched_at": time(patchedAt), "patched_by": text(patchedBy), "patch_reason": text(patchReason),
            // Of a letter that never was in the journal: its campaign has yet to hear of the death.
            "replay_campaign": text(stamp?.campaign.rawValue),
            "replay_epoch": stamp.map { .number(String($0.epoch)) } ?? .null,
        ]).encoded()
    }

    /// Why a line is no letter. Names members, never values.
    package struct LineFailure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Reads a line. The fingerprint is computed anew, and a letter that a campaign held is dead.
    ///
    /// - Throws: `LineFailure`.
    package init(jsonLine line: some Sequence<UInt8>) throws(LineFailure) {
        guard let parsed = try? JSONParser.parse(Array(line)), case .object(let members) = parsed else {
            throw LineFailure(description: "not a JSON object")
        }
        guard members["format"] == .number("1") else {
            throw LineFailure(description: "not in a format that this program knows")
        }
        func optional(_ name: String) throws(LineFailure) -> String? {
            switch members[name] {
            case .string(let text)? where !text.utf8.contains(0): return text
            case .null?, nil: return nil
            default: throw LineFailure(description: "`\(name)` is not a text")
            }
        }
        func text(_ name: String) throws(LineFailure) -> String {
            guard let text = try optional(name) else { throw LineFailure(description: "`\(name)` is missing") }
            return text
        }
        func time(_ name: String) throws(LineFailure) -> Date? {
            guard let text = try optional(name) else { return nil }
            guard let date = Microseconds.parse(text) else {
                throw LineFailure(description: "`\(name)` is not an instant")
            }
            return date
        }
        func count(_ name: String) throws(LineFailure) -> Int {
            guard case .number(let digits)? = members[name], let count = Int(digits), (0...1_000_000).contains(count)
            else { throw LineFailure(description: "`\(name)` is not a count") }
            return count
        }
        func document(_ name: String) throws(LineFailure) -> String {
            switch members[name] {
            case .object?: String(decoding: members[name]?.encoded() ?? [], as: UTF8.self)
            case .string(let text)?: text
            default: throw LineFailure(description: "`\(name)` is not an object")
            }
        }
        guard let id = DeadLetterID(rawValue: try text("id")) else {
            throw LineFailure(description: "`id` is not the id of a letter")
        }
        guard let body = Data(base64Encoded: try text("body_base64")) else {
            throw LineFailure(description: "`body_base64` is not base64")
        }
        guard let diedAt = try time("died_at") else { throw LineFailure(description: "`died_at` is missing") }
        guard let attempts = try? WireJSON.decode([Envelope.Attempt].self, from: members["attempts"]?.encoded() ?? [])
        else { throw LineFailure(description: "`attempts` is not a list of attempts") }
        self.init(
            id: id, deathKey: try text("death_key"), queue: try text("queue"), messageID: try text("message_id"),
            type: try text("type"), exchange: try text("exchange"), routingKey: try text("routing_key"),
            correlationID: try optional("correlation_id"), propertiesJSON: try document("properties"),
            headersJSON: try document("headers"), body: Array(body), reason: try text("reason"),
            errorCode: try optional("error_code"), errorText: try optional("error_text"), attempts: attempts,
            attemptCount: try count("attempt_count"), replayCount: try count("replay_count"), diedAt: diedAt)
        originalExchange = try optional("original_exchange")
        originalRoutingKey = try optional("original_routing_key")
        handler = try optional("handler")
        build = try optional("build")
        if let document = members["patch"], document != .null {
            do { patch = try JSONPatch(document) } catch { throw LineFailure(description: "`patch`: \(error)") }
            patchedAt = try time("patched_at") ?? diedAt
            patchedBy = try optional("patched_by") ?? "unknown"
            patchReason = try optional("patch_reason")
        }
        let state = try text("status")
        guard let state = Status(rawValue: state) else { throw LineFailure(description: "`status` is unknown") }
        if state == .replayed || state == .discarded {
            status = state
            resolvedAt = try time("resolved_at") ?? diedAt
            resolvedBy = try optional("resolved_by")
            resolutionReason = try optional("resolution_reason")
        }
        if let text = try optional("replay_campaign") {
            guard let campaign = ReplayCampaignID(rawValue: text) else {
                throw LineFailure(description: "`replay_campaign` is not the id of a campaign")
            }
            stamp = ReplayStamp(campaign: campaign, epoch: try count("replay_epoch"))
        }
        takeFingerprint()
    }
}

/// Instants as PostgreSQL keeps them.
private enum Microseconds {
    static func text(_ date: Date) -> String {
        let all = Int64((date.timeIntervalSince1970 * 1_000_000).rounded())
        let (seconds, micros) = all.quotientAndRemainder(dividingBy: 1_000_000)
        let whole = micros < 0 ? seconds - 1 : seconds
        let rest = String(all - whole * 1_000_000)
        let text = Date(timeIntervalSince1970: Double(whole)).formatted(Date.ISO8601FormatStyle())
        return text.dropLast() + "." + String(repeating: "0", count: 6 - rest.count) + rest + "Z"
    }

    static func parse(_ text: String) -> Date? {
        guard text.hasSuffix("Z"), let point = text.lastIndex(of: "."),
            let seconds = Instant.parse(String(text[..<point]) + "Z"),
            let micros = Int(text[text.index(after: point)...].dropLast()), (0..<1_000_000).contains(micros),
            text.distance(from: point, to: text.endIndex) == 8
        else { return Instant.parse(text) }
        return Date(timeIntervalSince1970: seconds.timeIntervalSince1970 + Double(micros) / 1_000_000)
    }
}
