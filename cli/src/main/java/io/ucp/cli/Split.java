package io.ucp.cli;

import io.ucp.convert.Part;
import io.ucp.convert.Prepared;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/// `ucp split`: some parts of a model of several.
@Command(
        name = "split",
        description = {
            "Take parts out of a model that has several, as a checkpoint of their own: vision"
                    + " tower, projector, language model."
        },
        footer = {
            "",
            "A part is the parameters whose names begin with the same words. The names are those"
                    + " that",
            "the target takes (--names). Examples:",
            "  ucp split llava -o tower --to safetensors --component vision_tower",
            "  ucp split llava -o llama --to safetensors --component language_model --strip"
        })
final class Split extends Converting {
    @Parameters(
            paramLabel = "SRC",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path source;

    @Option(
            names = "--component",
            required = true,
            paramLabel = "NAME",
            description =
                    "The first words of the names, up to a dot: vision_tower; may be repeated.")
    private List<String> components;

    @Option(
            names = "--strip",
            description = "Leave these words and the dot behind them out of the names.")
    private boolean strip;

    @Mixin private SourceOptions reading;

    @Override
    Prepared prepare(TargetOptions target) throws IOException {
        return target.prepare(source, reading, new Part(components, strip));
    }
}
