import CRabbitMQ

/// Memory for what one call hands to the library: its texts and tables, as C structures.
///
/// What an arena made is valid until it is reset or freed.
struct Arena: ~Copyable {
    private let pool: UnsafeMutablePointer<amqp_pool_t>

    init() {
        pool = .allocate(capacity: 1)
        init_amqp_pool(pool, 4_096)
    }

    deinit {
        empty_amqp_pool(pool)
        pool.deallocate()
    }

    func reset() {
        recycle_amqp_pool(pool)
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    func table(_ table: FieldTable) -> amqp_table_t {
        guard !table.isEmpty else { return amqp_empty_table }
        let entries = allocate(amqp_table_entry_t.self, count: table.count)
        for (index, (key, value)) in table.enumerated() {
            (entries + index).initialize(to: amqp_table_entry_t(key: bytes(key), value: field(value)))
        }
        return amqp_table_t(num_entries: CInt(table.count), entries: entries)
    }

    private func field(_ value: FieldValue) -> amqp_field_value_t {
        switch value {
        case .bool(let value): Self.field(AMQP_FIELD_KIND_BOOLEAN) { $0.value.boolean = value ? 1 : 0 }
        case .int8(let value): Self.field(AMQP_FIELD_KIND_I8) { $0.value.i8 = value }
        case .int16(let value): Self.field(AMQP_FIELD_KIND_I16) { $0.value.i16 = value }
        case .int32(let value): Self.field(AMQP_FIELD_KIND_I32) { $0.value.i32 = value }
        case .int64(let value): Self.field(AMQP_FIELD_KIND_I64) { $0.value.i64 = value }
        case .uint8(let value): Self.field(AMQP_FIELD_KIND_U8) { $0.value.u8 = value }
        case .uint16(let value): Self.field(AMQP_FIELD_KIND_U16) { $0.value.u16 = value }
        case .uint32(let value): Self.field(AMQP_FIELD_KIND_U32) { $0.value.u32 = value }
        case .float(let value): Self.field(AMQP_FIELD_KIND_F32) { $0.value.f32 = value }
        case .double(let value): Self.field(AMQP_FIELD_KIND_F64) { $0.value.f64 = value }
        case .decimal(let scale, let value):
            Self.field(AMQP_FIELD_KIND_DECIMAL) { $0.value.decimal = amqp_decimal_t(decimals: scale, value: value) }
        case .string(let value): Self.field(AMQP_FIELD_KIND_UTF8) { $0.value.bytes = bytes(value) }
        case .bytes(let value):
            Self.field(AMQP_FIELD_KIND_BYTES) { $0.value.bytes = value.withUnsafeBytes { copy($0) } }
        case .timestamp(let value): Self.field(AMQP_FIELD_KIND_TIMESTAMP) { $0.value.u64 = value }
        case .array(let values): Self.field(AMQP_FIELD_KIND_ARRAY) { $0.value.array = array(values) }
        case .table(let value): Self.field(AMQP_FIELD_KIND_TABLE) { $0.value.table = table(value) }
        case .void: Self.field(AMQP_FIELD_KIND_VOID) { _ in }
        }
    }

    private func array(_ values: [FieldValue]) -> amqp_array_t {
        let entries = allocate(amqp_field_value_t.self, count: values.count)
        for (index, value) in values.enumerated() { (entries + index).initialize(to: field(value)) }
        return amqp_array_t(num_entries: CInt(values.count), entries: entries)
    }

    private static func field(
        _ kind: amqp_field_value_kind_t, set: (inout amqp_field_value_t) -> Void
    ) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        field.kind = UInt8(kind.rawValue)
        set(&field)
        return field
    }

    private func copy(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let base = source.baseAddress, !source.isEmpty else { return amqp_empty_bytes }
        let bytes = allocate(UInt8.self, count: source.count)
        UnsafeMutableRawPointer(bytes).copyMemory(from: base, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: bytes)
    }

    private func allocate<Element>(_ type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        // The pool rounds every piece up to eight bytes, which suits all the types above.
        guard let memory = amqp_pool_alloc(pool, max(1, count) * MemoryLayout<Element>.stride) else {
            fatalError("out of memory")
        }
        return memory.bindMemory(to: type, capacity: max(1, count))
    }
}
