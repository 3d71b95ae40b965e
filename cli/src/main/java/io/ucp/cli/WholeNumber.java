package io.ucp.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// A number on the command line, so that what is none is called so. Classes, since a method
/// reference would cost every start.
final class WholeNumber {
    private WholeNumber() {}

    /// Of 64 bits.
    static final class Large implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            try {
                return Long.valueOf(text);
            } catch (NumberFormatException _) {
                throw wrong(text, "one of 64 bits, such as 8");
            }
        }
    }

    /// For options that count.
    static final class Small implements ITypeConverter<Integer> {
        @Override
        public Integer convert(String text) {
            try {
                return Integer.valueOf(text);
            } catch (NumberFormatException _) {
                throw wrong(text, "one such as 8");
            }
        }
    }

    private static TypeConversionException wrong(String text, String expected) {
        return new TypeConversionException(
                "'%s' is not a whole number; expected %s".formatted(text, expected));
    }
}
