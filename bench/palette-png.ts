import { crc32, deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLOURS = 256;
/** Commonest colours that are kept as they are: grounds and text. */
const EXACT = 48;

/** A colour with the number of pixels that have it. */
interface Shade {
  rgb: readonly [number, number, number];
  count: number;
}

/**
 * The same picture with 256 colours: a third of the bytes, for pictures that stay in a repository.
 * @param png 8 bits a channel, not interlaced, as Chromium writes screenshots
 */
export function withPalette(png: Buffer): Buffer {
  const { width, height, pixels } = decode(png);
  const counts = new Map<number, number>();
  for (let at = 0; at < pixels.length; at += 3) {
    const colour = pixels.readUIntBE(at, 3);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const shades = [...counts].map(([colour, count]): Shade => ({ rgb: [colour >> 16, (colour >> 8) & 255, colour & 255], count }));
  const palette = paletteOf(shades);
  const nearest = new Map(shades.map(({ rgb }) => [(rgb[0] << 16) | (rgb[1] << 8) | rgb[2], nearestIn(palette, rgb)]));
  const rows = Buffer.alloc((width + 1) * height); // each begins with its filter, 0: none
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = nearest.get(pixels.readUIntBE(3 * (y * width + x), 3)) ?? 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3], 8); // 8 bits, by palette
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flat())),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Median cut: the box of colours that holds most spread, by pixels, is halved until there are enough. */
function paletteOf(shades: Shade[]): Shade['rgb'][] {
  const byCount = shades.toSorted((a, b) => b.count - a.count);
  const exact = byCount.slice(0, EXACT).map(({ rgb }) => rgb);
  let boxes = [measured(byCount.slice(EXACT))];
  while (boxes.length < COLOURS - exact.length) {
    const widest = boxes.reduce((most, box) => (box.spread > most.spread ? box : most));
    if (widest.spread === 0) break;
    const sorted = widest.shades.toSorted((a, b) => a.rgb[widest.channel] - b.rgb[widest.channel]);
    const half = sorted.reduce((sum, { count }) => sum + count, 0) / 2;
    let passed = 0;
    const middle = sorted.findIndex(({ count }) => (passed += count) >= half);
    const cut = Math.min(Math.max(middle, 1), sorted.length - 1);
    boxes = [...boxes.filter((box) => box !== widest), measured(sorted.slice(0, cut)), measured(sorted.slice(cut))];
  }
  return [...exact, ...boxes.filter(({ shades: inside }) => inside.length > 0).map(({ mean }) => mean)];
}

function measured(shades: Shade[]): { shades: Shade[]; channel: 0 | 1 | 2; spread: number; mean: Shade['rgb'] } {
  const total = shades.reduce((sum, { count }) => sum + count, 0);
  const ofChannel = (channel: 0 | 1 | 2) => {
    const mean = shades.reduce((sum, { rgb, count }) => sum + rgb[channel] * count, 0) / Math.max(total, 1);
    return { channel, mean: Math.round(mean), spread: shades.reduce((sum, { rgb, count }) => sum + count * (rgb[channel] - mean) ** 2, 0) };
  };
  const [red, green, blue] = [ofChannel(0), ofChannel(1), ofChannel(2)];
  const { channel, spread } = [red, green, blue].reduce((most, one) => (one.spread > most.spread ? one : most));
  return { shades, channel, spread: shades.length < 2 ? 0 : spread, mean: [red.mean, green.mean, blue.mean] };
}

function nearestIn(palette: Shade['rgb'][], [red, green, blue]: Shade['rgb']): number {
  let best = 0;
  let least = Infinity;
  palette.forEach(([r, g, b], index) => {
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (distance >= least) return;
    least = distance;
    best = index;
  });
  return best;
}

/** @returns pixels of 3 bytes, row by row */
function decode(png: Buffer): { width: number; height: number; pixels: Buffer } {
  const data: Buffer[] = [];
  for (let at = SIGNATURE.length; at < png.length; at += png.readUInt32BE(at) + 12) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  }
  const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
  const size = png[25] === 6 ? 4 : 3; // bytes of a pixel: with or without alpha
  const rows = inflateSync(Buffer.concat(data));
  const stride = width * size;
  const unfiltered = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)] ?? 0;
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x < size ? 0 : (unfiltered[at - size] ?? 0);
      const up = y === 0 ? 0 : (unfiltered[at - stride] ?? 0);
      const corner = x < size || y === 0 ? 0 : (unfiltered[at - stride - size] ?? 0);
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
      unfiltered[at] = (rows[y * (stride + 1) + 1 + x] ?? 0) + predicted;
    }
  }
  if (size === 3) return { width, height, pixels: unfiltered };
  return { width, height, pixels: unfiltered.filter((_, at) => at % 4 !== 3) as Buffer };
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function chunk(type: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}
