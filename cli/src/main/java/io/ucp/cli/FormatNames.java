package io.ucp.cli;

import io.ucp.formats.CheckpointFormat;

import java.util.Iterator;

/// The names of all formats, for help and completion.
final class FormatNames implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
        return CheckpointFormat.all().stream().map(CheckpointFormat::name).sorted().iterator();
    }
}
