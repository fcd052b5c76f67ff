import TestSupport
import Testing

@Suite struct FrameScannerTests {
    /// A frame of AMQP 0-9-1 (specification, section 4.2.3).
    private static func frame(type: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [type, 0, 1, 0, 0, UInt8(payload.count >> 8), UInt8(payload.count & 255)] + payload + [0xce]
    }

    private static let stream =
        Array("AMQP".utf8) + [0, 0, 9, 1] + frame(type: 1, [0, 10, 0, 11, 1, 2, 3]) + frame(type: 8, [])
        + frame(type: 1, [0, 60, 0, 40, 9]) + frame(type: 3, [1, 0, 60, 0, 40, 1, 1, 1, 1, 1])
        + frame(type: 1, [0, 60, 0, 80])

    @Test(arguments: 1...40)
    func methodsAreFoundHoweverTheBytesAreCut(size: Int) {
        var scanner = AMQPFrameScanner(isFromClient: true)
        var found: [[Int]] = []
        var offset = 0
        while offset < Self.stream.count {
            let chunk = Self.stream[offset..<min(offset + size, Self.stream.count)]
            for method in scanner.scan(chunk) {
                found.append([method.classID, method.methodID, offset + method.start])
            }
            offset += size
        }
        #expect(found == [[10, 11, 8], [60, 40, 31], [60, 80, 62]])
    }
}
