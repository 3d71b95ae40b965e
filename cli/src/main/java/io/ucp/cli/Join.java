package io.ucp.cli;

import io.ucp.convert.Joining;
import io.ucp.convert.Prepared;
import io.ucp.convert.Request;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// `ucp join`: one model of several checkpoints.
@Command(
        name = "join",
        description = "Make one model of several checkpoints, each a part of it.",
        footer = {
            "",
            "The first part gives tag and iteration; files beside the weights are the first part's",
            "where two have other ones of a name. --from, --spec and --set are for all. Examples:",
            "  ucp join tower projector language -o llava --to safetensors",
            "  ucp join config-and-tower language_model=llama -o llava --to safetensors"
        })
final class Join extends Converting {
    private static final Pattern NAMED = Pattern.compile("([A-Za-z_][A-Za-z0-9_.]*)=(.+)");

    @Parameters(
            arity = "2..*",
            paramLabel = "PART",
            description =
                    "A checkpoint, or NAME=CHECKPOINT: then its names get NAME and a dot before"
                            + " them.")
    private List<String> parts;

    @Mixin private SourceOptions reading;

    @Override
    Prepared prepare(TargetOptions target) throws IOException {
        List<Joining.Piece> pieces = new ArrayList<>();
        for (String part : parts) {
            pieces.add(piece(part, target));
        }
        return Joining.prepare(pieces);
    }

    /// What is a file's name is that, whatever it looks like.
    private Joining.Piece piece(String part, TargetOptions target) throws IOException {
        Matcher named = NAMED.matcher(part);
        boolean prefixed = named.matches() && !Files.exists(Path.of(part));
        Path given = Path.of(prefixed ? named.group(2) : part);
        Path source = reading.through(given);
        Request request = target.whole(source, reading);
        return new Joining.Piece(
                prefixed ? Optional.of(named.group(1)) : Optional.empty(),
                request,
                reading.describe(request));
    }

    @Override
    void sources(PrintWriter out, Prepared prepared) {
        prepared.sources().forEach(each -> SourceReport.print(out, each));
    }
}
