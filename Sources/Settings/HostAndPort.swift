/// An address to listen on, such as `127.0.0.1:8080` or `[::1]:8080`.
package struct HostAndPort: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    /// 0 lets the system choose a free one.
    package let port: Int

    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = Int(port)
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

extension SettingKey where Value == HostAndPort {
    package static func address(_ name: String, _ summary: String, default defaultText: String) -> SettingKey {
        SettingKey(name, summary, format: "host:port", default: defaultText) { text throws(InvalidSetting) in
            guard let address = HostAndPort(text) else {
                throw InvalidSetting("must be host:port, such as 127.0.0.1:8080")
            }
            return address
        }
    }
}
