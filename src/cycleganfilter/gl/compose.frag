// SPDX-License-Identifier: MIT OR Apache-2.0

// (1 - coverage) · frame + upscaled residual for each layer in turn, in the same integer arithmetic as the CPU's
// kernels, with identical results.

uniform sampler2D frame;
// The residuals of all layers, in 64ths of a grey level; their coverage as alpha, in 16384ths.
uniform isampler2D residuals;
// The alpha that each layer adds, in 64ths of a grey level, at the same places.
uniform isampler2D mattes;
// Row 2i for each column of layer i's crop, row 2i + 1 for each row of it: the residual's position before it, and
// the weight of the position after it, in 256ths.
uniform usampler2D taps;
// Number of layers, at most 16.
uniform int count;
// Whether the layers' mattes replace the frame's alpha.
uniform int has_mattes;
// The pixels that each layer may change: the first column and row, and those after the last.
uniform ivec4 areas[16];
// The corner of each layer's crop in the frame, and of its residual in `residuals`.
uniform ivec4 origins[16];
// The last column and row of each layer's residual.
uniform ivec4 lasts[16];

out vec4 color;

ivec4 lerp_row(isampler2D values, int left, int right, int y, int weight) {
    ivec4 before = texelFetch(values, ivec2(left, y), 0);
    ivec4 after = texelFetch(values, ivec2(right, y), 0);
    return before + (((after - before) * weight) >> 8);
}

// In 256ths.
ivec4 upscaled(isampler2D values, ivec2 before, ivec2 after, ivec2 weights) {
    ivec4 upper = lerp_row(values, before.x, after.x, before.y, weights.x);
    ivec4 lower = lerp_row(values, before.x, after.x, after.y, weights.x);
    return upper * 256 + (lower - upper) * weights.y;
}

void main() {
    ivec2 place = ivec2(gl_FragCoord.xy);
    vec4 pixel = texelFetch(frame, place, 0);
    ivec3 rgb = ivec3(pixel.rgb * 255.0 + 0.5);
    int alpha = 0;
    for (int i = 0; i < count; i++) {
        ivec4 area = areas[i];
        if (any(lessThan(place, area.xy)) || any(greaterThanEqual(place, area.zw))) {
            continue;
        }
        ivec2 within = place - origins[i].xy;
        ivec2 column = ivec2(texelFetch(taps, ivec2(within.x, 2 * i), 0).rg);
        ivec2 row = ivec2(texelFetch(taps, ivec2(within.y, 2 * i + 1), 0).rg);
        ivec2 before = ivec2(column.x, row.x);
        ivec2 after = min(before + 1, lasts[i].xy);
        ivec2 weights = ivec2(column.y, row.y);
        ivec2 corner = origins[i].zw;
        ivec4 change = upscaled(residuals, corner + before, corner + after, weights);
        int keep = 16384 - (change.a >> 8);
        rgb = clamp((rgb * keep + change.rgb + 8192) >> 14, 0, 255);
        if (has_mattes != 0) {
            int added = upscaled(mattes, corner + before, corner + after, weights).r;
            alpha = clamp(alpha + ((added + 8192) >> 14), 0, 255);
        }
    }
    color = vec4(vec3(rgb) / 255.0, has_mattes != 0 ? float(alpha) / 255.0 : pixel.a);
}
