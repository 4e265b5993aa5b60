/**
 * The picture as a PNG, twice its size. The letters come with `@expo-google-fonts/arimo`, which is as wide as what the
 * picture was laid out for, so that it looks the same on every machine, with fonts or without.
 */
import { createRequire } from 'node:module';
import { assertInstalled } from '../../packages.ts';

const ZOOM = 2;

/** @throws {PackageMissingError} the packages that draw it are not installed */
export async function toPng(svg: string): Promise<Uint8Array> {
  const { Resvg, fonts } = await painter();
  const image = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: ZOOM },
    background: 'white',
    font: { fontFiles: fonts, defaultFontFamily: 'Arimo', loadSystemFonts: needsMore(svg) },
  });
  return image.render().asPng();
}

/** Letters that Arimo does not have: it has Latin, Greek and Cyrillic. */
const needsMore = (svg: string) => /[^\s!-\u052f\u1e00-\u206f\u20a0-\u20bf\u2100-\u21ff]/.test(svg);

async function painter() {
  assertInstalled('A PNG', '@resvg/resvg-js', '@expo-google-fonts/arimo');
  const { Resvg } = await import('@resvg/resvg-js');
  const { resolve } = createRequire(import.meta.url);
  const fonts = [
    resolve('@expo-google-fonts/arimo/400Regular/Arimo_400Regular.ttf'),
    resolve('@expo-google-fonts/arimo/700Bold/Arimo_700Bold.ttf'),
  ];
  return { Resvg, fonts };
}
