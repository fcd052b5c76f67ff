import CCurl

/// The parts of an SMTP URL, as libcurl's own parser sees them, so that no second reading can differ from it.
struct SMTPURL {
    let scheme: String
    let host: String
    let port: Int?
    let user: String?
    let password: String?
    let path: String?
    let options: [String: String]

    init(_ text: String) throws(SMTPConfiguration.Invalid) {
        guard let handle = curl_url() else { throw SMTPConfiguration.Invalid(reason: "out of memory") }
        defer { curl_url_cleanup(handle) }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK
        else {
            throw SMTPConfiguration.Invalid(
                reason: "it does not parse; it reads smtp://user:password@host:587, special characters percent-encoded")
        }
        scheme = (Self.part(CURLUPART_SCHEME, of: handle) ?? "").lowercased()
        guard let host = Self.part(CURLUPART_HOST, of: handle), !host.isEmpty else {
            throw SMTPConfiguration.Invalid(reason: "the host is missing")
        }
        self.host = host
        port = Self.part(CURLUPART_PORT, of: handle).flatMap { Int($0) }
        user = try Self.decodedPart(CURLUPART_USER, of: handle)
        password = try Self.decodedPart(CURLUPART_PASSWORD, of: handle)
        let path = try Self.decodedPart(CURLUPART_PATH, of: handle)?.drop { $0 == "/" } ?? ""
        self.path = path.isEmpty ? nil : String(path)
        guard Self.part(CURLUPART_FRAGMENT, of: handle) == nil else {
            throw SMTPConfiguration.Invalid(reason: "a # must be written %23")
        }
        options = try Self.options(Self.part(CURLUPART_QUERY, of: handle) ?? "")
    }

    private static func part(_ part: CURLUPart, of handle: OpaquePointer, decoded: Bool = false) -> String? {
        var value: UnsafeMutablePointer<CChar>?
        guard curl_url_get(handle, part, &value, decoded ? UInt32(CURLU_URLDECODE) : 0) == CURLUE_OK, let value else {
            return nil
        }
        defer { curl_free(value) }
        return String(cString: value)
    }

    /// Percent-decoded; the library refuses to decode control characters, and so do we.
    private static func decodedPart(
        _ part: CURLUPart, of handle: OpaquePointer
    ) throws(SMTPConfiguration.Invalid) -> String? {
        guard Self.part(part, of: handle) != nil else { return nil }
        guard let value = Self.part(part, of: handle, decoded: true) else {
            throw SMTPConfiguration.Invalid(reason: "user, password or path holds a control character")
        }
        return value
    }

    private static func options(_ query: String) throws(SMTPConfiguration.Invalid) -> [String: String] {
        var options: [String: String] = [:]
        for pair in query.split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, let value = percentDecoded(sides[1]) else {
                throw SMTPConfiguration.Invalid(reason: "an option does not read name=value")
            }
            guard options.updateValue(value, forKey: String(sides[0])) == nil else {
                throw SMTPConfiguration.Invalid(reason: "an option is given twice")
            }
        }
        return options
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let digits = String(rest.prefix(2)), digits.utf8.count == 2, let value = UInt8(digits, radix: 16),
                value >= 0x20
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
