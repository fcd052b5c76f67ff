import AMQP
import Testing

@Suite struct ConfigurationTests {
    private func parse(_ url: String) throws(AMQPError) -> AMQPConfiguration {
        try AMQPConfiguration(url: url, connectionName: "test")
    }

    @Test func everyPartIsReadAndDecoded() throws {
        let configuration = try parse(
            "amqps://us%65r:p%40ss%2F@broker.example:5999/my%2Fhost?heartbeat=7&connection_timeout=1500&cacertfile=/a%20b.pem&certfile=c&keyfile=k"
        )
        #expect(configuration.user == "user")
        #expect(configuration.host == "broker.example")
        #expect(configuration.port == 5999)
        #expect(configuration.virtualHost == "my/host")
        #expect(configuration.heartbeat == .seconds(7))
        #expect(configuration.connectTimeout == .milliseconds(1_500))
        #expect(configuration.tls == .init(caFile: "/a b.pem", certificateFile: "c", keyFile: "k"))
        #expect(
            configuration.password
                == AMQPConfiguration(
                    host: "h", port: 1, user: "u", password: "p@ss/", virtualHost: "/", connectionName: ""
                ).password)
    }

    @Test(arguments: [
        ("amqp://u:p@h", "h", 5672, "/"), ("amqps://u:p@h", "h", 5671, "/"), ("amqp://u:p@h/%2F", "h", 5672, "/"),
        ("amqp://u:p@h:1/v", "h", 1, "v"), ("amqp://u:p@[::1]:7/v", "::1", 7, "v"), ("amqp://h", "h", 5672, "/"),
        ("amqp://u:p@h:/v", "h", 5672, "v"), ("amqp://u:a:b@h/v", "h", 5672, "v"),
    ])
    func partsHaveDefaults(url: String, host: String, port: Int, virtualHost: String) throws {
        let configuration = try parse(url)
        #expect((configuration.host, configuration.port, configuration.virtualHost) == (host, port, virtualHost))
    }

    @Test(arguments: [
        ("http://h", "amqp://"), ("amqp://u:secret@", "host"), ("amqp://u:secret@h:x", "port"),
        ("amqp://u:secret@h:0", "port"), ("amqp://u:secret@h:65536", "port"), ("amqp://u:secret@h/", "%2F"),
        ("amqp://u:secret@h/a/b", "%2F"), ("amqp://u:secret%@h/v", "password"), ("amqp://u:secret%00@h", "zero byte"),
        ("amqp://u:secret%ff@h", "UTF-8"), ("amqp://u:sec@ret@h", "%40"), ("amqp://u:secret@h#x", "%23"),
        ("amqp://u:secret@h/v?heartbeat=0", "heartbeat"), ("amqp://u:secret@h/v?heartbeat=abc", "heartbeat"),
        ("amqp://u:secret@h/v?bogus=1", "bogus"), ("amqp://u:secret@h/v?cacertfile=x", "amqps"),
        ("amqps://u:secret@h/v?certfile=x", "keyfile"), ("amqps://u:secret@h/v?verify=verify_none", "verify_peer"),
        ("amqps://u:secret@h/v?auth_mechanism=external", "external"), ("amqp://u:secret@h/v?auth_mechanism=x", "plain"),
        ("amqp://:secret@h", "user"), ("amqp://u:secret@[::1", "]"),
        ("amqp://u:secret@h/v?connection_timeout=-1", "connection_timeout"),
    ])
    func errorNamesWhatIsWrongWithoutThePassword(url: String, word: String) throws {
        let error = try #require(throws: AMQPError.self) { try parse(url) }
        #expect(error.code == .invalidArgument)
        #expect(error.description.contains(word), "\(error)")
        #expect(!error.description.contains("secret"))
        #expect(!error.isRetriable)
    }

    @Test func passwordDoesNotPrintItself() throws {
        let configuration = try parse("amqp://user:hunter2@h/v")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), "\(configuration.password)", dumped] {
            #expect(!text.contains("hunter2"))
        }
    }
}
