"""A captured material as files: maps, record, exports, pictures to judge it by, and the library of them."""
