package io.ucp.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// A number on the command line, so that what is none is called so.
final class WholeNumber implements ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
        try {
            return Long.valueOf(text);
        } catch (NumberFormatException _) {
            throw new TypeConversionException(
                    "'%s' is not a whole number; expected one of 64 bits, such as 8"
                            .formatted(text));
        }
    }

    /// For options that count.
    static Integer small(String text) {
        try {
            return Integer.valueOf(text);
        } catch (NumberFormatException _) {
            throw new TypeConversionException(
                    "'%s' is not a whole number; expected one such as 8".formatted(text));
        }
    }
}
