import CRabbitMQ

extension Incoming {
    /// Copies everything out of the frame, whose memory the library takes back soon.
    init(_ frame: amqp_frame_t) {
        guard frame.channel == 0 || frame.channel == Link.channel else {
            self = .other
            return
        }
        switch CInt(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            self.init(method: frame.payload.method)
        case AMQP_FRAME_HEADER:
            guard CInt(frame.payload.properties.class_id) == AMQP_BASIC_CLASS,
                let decoded = frame.payload.properties.decoded
            else {
                self = .other
                return
            }
            let properties = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            self = .header(bodySize: frame.payload.properties.body_size, BasicProperties(properties))
        case AMQP_FRAME_BODY:
            self = .body([UInt8](frame.payload.body_fragment))
        default:
            self = .other
        }
    }

    /// What a method means.
    init(method: amqp_method_t) {
        func decoded<Method>(_: Method.Type) -> Method { method.decoded.assumingMemoryBound(to: Method.self).pointee }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let method = decoded(amqp_basic_deliver_t.self)
            self = .deliver(
                consumerTag: String(method.consumer_tag), deliveryTag: method.delivery_tag,
                isRedelivered: method.redelivered != 0, exchange: String(method.exchange),
                routingKey: String(method.routing_key))
        case AMQP_BASIC_RETURN_METHOD:
            let method = decoded(amqp_basic_return_t.self)
            self = .returned(
                replyCode: method.reply_code, replyText: String(method.reply_text), exchange: String(method.exchange),
                routingKey: String(method.routing_key))
        case AMQP_BASIC_GET_OK_METHOD:
            let method = decoded(amqp_basic_get_ok_t.self)
            self = .gotMessage(
                deliveryTag: method.delivery_tag, isRedelivered: method.redelivered != 0,
                exchange: String(method.exchange), routingKey: String(method.routing_key))
        case AMQP_BASIC_ACK_METHOD:
            let method = decoded(amqp_basic_ack_t.self)
            self = .acknowledge(tag: method.delivery_tag, multiple: method.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let method = decoded(amqp_basic_nack_t.self)
            self = .refuse(tag: method.delivery_tag, multiple: method.multiple != 0)
        case AMQP_BASIC_CANCEL_METHOD:
            self = .cancel(consumerTag: String(decoded(amqp_basic_cancel_t.self).consumer_tag))
        case AMQP_CONNECTION_BLOCKED_METHOD:
            self = .blocked(reason: String(decoded(amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD:
            self = .unblocked
        case AMQP_CHANNEL_CLOSE_METHOD:
            let method = decoded(amqp_channel_close_t.self)
            self = .channelClosed(replyCode: method.reply_code, replyText: String(method.reply_text))
        case AMQP_CONNECTION_CLOSE_METHOD:
            let method = decoded(amqp_connection_close_t.self)
            self = .connectionClosed(replyCode: method.reply_code, replyText: String(method.reply_text))
        default:
            self = .other
        }
    }
}

extension BasicProperties {
    init(_ raw: amqp_basic_properties_t) {
        func text(_ flag: CInt, _ bytes: amqp_bytes_t) -> String? {
            raw._flags & amqp_flags_t(flag) != 0 ? String(bytes) : nil
        }
        func has(_ flag: CInt) -> Bool { raw._flags & amqp_flags_t(flag) != 0 }
        self.init(
            contentType: text(AMQP_BASIC_CONTENT_TYPE_FLAG, raw.content_type),
            contentEncoding: text(AMQP_BASIC_CONTENT_ENCODING_FLAG, raw.content_encoding),
            headers: has(AMQP_BASIC_HEADERS_FLAG) ? FieldTable(raw.headers) : [:],
            isPersistent: has(AMQP_BASIC_DELIVERY_MODE_FLAG) && raw.delivery_mode == 2,
            priority: has(AMQP_BASIC_PRIORITY_FLAG) ? raw.priority : nil,
            correlationID: text(AMQP_BASIC_CORRELATION_ID_FLAG, raw.correlation_id),
            replyTo: text(AMQP_BASIC_REPLY_TO_FLAG, raw.reply_to),
            expiration: text(AMQP_BASIC_EXPIRATION_FLAG, raw.expiration),
            messageID: text(AMQP_BASIC_MESSAGE_ID_FLAG, raw.message_id),
            timestamp: has(AMQP_BASIC_TIMESTAMP_FLAG) ? raw.timestamp : nil,
            type: text(AMQP_BASIC_TYPE_FLAG, raw.type),
            userID: text(AMQP_BASIC_USER_ID_FLAG, raw.user_id),
            appID: text(AMQP_BASIC_APP_ID_FLAG, raw.app_id))
    }

    /// The C structure; its texts live in the arena.
    func raw(in arena: borrowing Arena) -> amqp_basic_properties_t {
        var raw = amqp_basic_properties_t()
        var flags = AMQP_BASIC_DELIVERY_MODE_FLAG
        raw.delivery_mode = isPersistent ? 2 : 1
        func set(_ text: String?, _ flag: CInt, _ field: inout amqp_bytes_t) {
            guard let text else { return }
            flags |= flag
            field = arena.bytes(text)
        }
        set(contentType, AMQP_BASIC_CONTENT_TYPE_FLAG, &raw.content_type)
        set(contentEncoding, AMQP_BASIC_CONTENT_ENCODING_FLAG, &raw.content_encoding)
        set(correlationID, AMQP_BASIC_CORRELATION_ID_FLAG, &raw.correlation_id)
        set(replyTo, AMQP_BASIC_REPLY_TO_FLAG, &raw.reply_to)
        set(expiration, AMQP_BASIC_EXPIRATION_FLAG, &raw.expiration)
        set(messageID, AMQP_BASIC_MESSAGE_ID_FLAG, &raw.message_id)
        set(type, AMQP_BASIC_TYPE_FLAG, &raw.type)
        set(userID, AMQP_BASIC_USER_ID_FLAG, &raw.user_id)
        set(appID, AMQP_BASIC_APP_ID_FLAG, &raw.app_id)
        if !headers.isEmpty {
            flags |= AMQP_BASIC_HEADERS_FLAG
            raw.headers = arena.table(headers)
        }
        if let priority {
            flags |= AMQP_BASIC_PRIORITY_FLAG
            raw.priority = priority
        }
        if let timestamp {
            flags |= AMQP_BASIC_TIMESTAMP_FLAG
            raw.timestamp = timestamp
        }
        raw._flags = amqp_flags_t(flags)
        return raw
    }
}

extension [String: FieldValue] {
    /// Copies a decoded table; what lies beyond `FieldValue.maxDepth` or `maxCount` is cut off.
    init(_ raw: amqp_table_t) {
        var budget = FieldValue.maxCount
        self.init(raw, depth: 1, budget: &budget)
    }

    fileprivate init(_ raw: amqp_table_t, depth: Int, budget: inout Int) {
        self.init()
        for index in 0..<Int(raw.num_entries) where budget > 0 {
            let entry = raw.entries[index]
            self[String(entry.key)] = FieldValue(entry.value, depth: depth, budget: &budget)
        }
    }
}

extension FieldValue {
    fileprivate init(_ raw: amqp_field_value_t, depth: Int, budget: inout Int) {
        budget -= 1
        let value = raw.value
        switch amqp_field_value_kind_t(UInt32(raw.kind)) {
        case AMQP_FIELD_KIND_BOOLEAN: self = .bool(value.boolean != 0)
        case AMQP_FIELD_KIND_I8: self = .int8(value.i8)
        case AMQP_FIELD_KIND_U8: self = .uint8(value.u8)
        case AMQP_FIELD_KIND_I16: self = .int16(value.i16)
        case AMQP_FIELD_KIND_U16: self = .uint16(value.u16)
        case AMQP_FIELD_KIND_I32: self = .int32(value.i32)
        case AMQP_FIELD_KIND_U32: self = .uint32(value.u32)
        case AMQP_FIELD_KIND_I64: self = .int64(value.i64)
        // Not in RabbitMQ's grammar, so it does not come from there; kept where it fits.
        case AMQP_FIELD_KIND_U64: self = .int64(Int64(clamping: value.u64))
        case AMQP_FIELD_KIND_F32: self = .float(value.f32)
        case AMQP_FIELD_KIND_F64: self = .double(value.f64)
        case AMQP_FIELD_KIND_DECIMAL: self = .decimal(scale: value.decimal.decimals, value: value.decimal.value)
        case AMQP_FIELD_KIND_UTF8:
            let bytes = [UInt8](value.bytes)
            self = String(validating: bytes, as: UTF8.self).map(FieldValue.string) ?? .bytes(bytes)
        case AMQP_FIELD_KIND_BYTES: self = .bytes([UInt8](value.bytes))
        case AMQP_FIELD_KIND_TIMESTAMP: self = .timestamp(value.u64)
        case AMQP_FIELD_KIND_ARRAY where depth < Self.maxDepth:
            var elements: [FieldValue] = []
            for index in 0..<Int(value.array.num_entries) where budget > 0 {
                elements.append(FieldValue(value.array.entries[index], depth: depth + 1, budget: &budget))
            }
            self = .array(elements)
        case AMQP_FIELD_KIND_TABLE where depth < Self.maxDepth:
            self = .table(FieldTable(value.table, depth: depth + 1, budget: &budget))
        default: self = .void
        }
    }
}

extension String {
    /// Copies; bytes that are not UTF-8 are replaced, never trapped on.
    init(_ bytes: amqp_bytes_t) {
        self.init(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}

extension [UInt8] {
    init(_ bytes: amqp_bytes_t) {
        self.init(UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len))
    }
}
